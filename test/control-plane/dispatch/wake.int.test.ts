import { pino } from "pino";
import { expect, onTestFinished, test } from "vitest";
import { startTcpProxy } from "../../../chaos/tcp-proxy.ts";
import { startWake } from "../../../control-plane/dispatch/wake.ts";
import { createApp } from "../../../control-plane/http/app.ts";
import { enrolAgent, startControlPlane } from "../../helpers/control-plane.ts";
import { createTestDatabase } from "../../helpers/database.ts";
import { until } from "../../helpers/programs.ts";

/** A control plane whose LISTEN connection alone goes through a proxy. */
async function startListening() {
  const { connection, drop } = await createTestDatabase();
  onTestFinished(drop);
  const direct = await startControlPlane({ connection });
  onTestFinished(direct.close);
  const proxy = await startTcpProxy({
    target: () => ({ path: `${connection.host}/.s.PGSQL.${connection.port}` }),
  });
  onTestFinished(proxy.close);
  const lines: string[] = [];
  const wake = await startWake({
    connection: `postgres://${connection.user}@127.0.0.1:${proxy.port}/${connection.database}`,
    log: pino({}, { write: (line) => void lines.push(line) }),
  });
  onTestFinished(wake.close);
  const app = createApp({ ...direct.ctx, waitForWake: wake.waitForWake });
  const said = (words: string) =>
    until(`the log says "${words}"`, () => lines.some((line) => line.includes(words)));
  return { ...direct, app, proxy, said };
}

test("a LISTEN connection in a black hole is noticed; held polls look for themselves until it hears again", async () => {
  const { app, operate, proxy, said } = await startListening();
  const master = await enrolAgent({ app, operate }, { name: "master", role: "master" });
  const { daemonUsersVersion } = await master.poll();
  const upstream = (name: string) => `rsync://upstream.example.org/${name}`;
  const milliseconds = async (name: string) => {
    const held = master.poll({ waitSeconds: 20, daemonUsersVersion });
    await operate("POST", "/v1/projects", { name, upstream: upstream(name) });
    const triggered = performance.now();
    await operate("POST", `/v1/projects/${name}/sync`);
    expect((await held).lease).not.toBeNull();
    return performance.now() - triggered;
  };
  await milliseconds("before");
  proxy.set("hole");
  await said("no notifications come");
  expect(await milliseconds("meanwhile")).toBeLessThan(10_000);
  proxy.set("open");
  await said("notifications come again");
  await milliseconds("after");
});
