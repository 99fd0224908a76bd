import { Agent, request, type Server } from "node:http";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { text } from "node:stream/consumers";
import { serve } from "@hono/node-server";
import { pino } from "pino";
import { expect, onTestFinished, test } from "vitest";
import { startTcpProxy } from "../../../chaos/tcp-proxy.ts";
import { startWake } from "../../../control-plane/dispatch/wake.ts";
import { createApp } from "../../../control-plane/http/app.ts";
import { stopServing } from "../../../control-plane/http/stop-serving.ts";
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
  return { ...direct, app, wake, proxy, said };
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

test("a control plane that stops answers held polls, and those that come again on their connections, which ends these", async () => {
  const { app, operate, wake } = await startListening();
  const master = await enrolAgent({ app, operate }, { name: "master", role: "master" });
  const { daemonUsersVersion } = await master.poll();
  const server = serve({ fetch: app.fetch, port: 0, hostname: "127.0.0.1" }) as Server;
  if (!server.listening) await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  onTestFinished(() => agent.destroy());
  const poll = async () => {
    const path = "/v1/agent/poll";
    const body = JSON.stringify({
      pollId: randomUUID(),
      agentVersion: "test",
      waitSeconds: 20,
      daemonUsersVersion,
      daemonPort: 8873,
      roots: [{ path: "/srv/mirror", module: "mirror" }],
    });
    const authorization = `Bearer ${await master.sign({ method: "POST", path, body })}`;
    const headers = { authorization, "content-length": Buffer.byteLength(body) };
    const sent = request({ agent, host: "127.0.0.1", port, path, method: "POST", headers });
    sent.end(body);
    const [answer] = await once(sent, "response");
    const { lease } = JSON.parse(await text(answer));
    return { lease, connection: answer.headers.connection };
  };
  const held = poll();
  await sleep(500);
  const stopped = stopServing(server, wake);
  expect(await held).toEqual({ lease: null, connection: "keep-alive" });
  expect(await poll()).toEqual({ lease: null, connection: "close" });
  await stopped;
  await expect(poll()).rejects.toThrow("ECONNREFUSED");
});
