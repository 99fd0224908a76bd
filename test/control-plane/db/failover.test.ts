import { execFileSync } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, onTestFinished, test } from "vitest";
import { startTcpProxy } from "../../../chaos/tcp-proxy.ts";
import { migrate } from "../../../control-plane/db/migrate.ts";
import { startControlPlane } from "../../helpers/control-plane.ts";
import { query, serverPid, startPostgres, temporaryDirectory } from "../../helpers/postgres.ts";

type Connection = Awaited<ReturnType<typeof startPostgres>>["connection"];

/** A primary whose commits wait for a standby, and that standby, each on a port. */
async function startPair() {
  const directory = await temporaryDirectory();
  const [one, two] = [join(directory, "one"), join(directory, "two")];
  const before = await startPostgres({ directory: one });
  await before.stop();
  execFileSync("cp", ["-a", one, two]);
  // Its owner is the cluster's, as the server reads and removes it.
  execFileSync("cp", ["-a", join(one, "PG_VERSION"), join(two, "standby.signal")]);
  await writeFile(join(two, "standby.signal"), "");
  const primary = await startPostgres({ directory: one });
  const { host, port, user } = primary.connection;
  const standby = await startPostgres({
    directory: two,
    settings: {
      primary_conninfo: `host=${host} port=${port} user=${user} application_name=second`,
    },
  });
  await query(primary.connection, "alter system set synchronous_standby_names = 'second'");
  await query(primary.connection, "select pg_reload_conf()");
  const ports: number[] = [];
  for (const { connection } of [primary, standby] as { connection: Connection }[]) {
    const proxy = await startTcpProxy({
      target: () => ({ path: `${connection.host}/.s.PGSQL.${connection.port}` }),
    });
    onTestFinished(proxy.close);
    ports.push(proxy.port);
  }
  const hosts = ports.map((each) => `127.0.0.1:${each}`).join(",");
  return {
    url: `postgres://${user}@${hosts}/mirrorfleet?target_session_attrs=read-write`,
    kill: async () => process.kill(await serverPid(one), "SIGKILL"),
    promote: () => query(standby.connection, "select pg_promote()"),
  };
}

test("when the primary dies and its standby is promoted, no acknowledged write is lost, and errors are 503 meanwhile", async () => {
  const { url, kill, promote } = await startPair();
  await migrate({ connection: url });
  const controlPlane = await startControlPlane({ connection: url });
  onTestFinished(controlPlane.close);
  const acknowledged: string[] = [];
  const statuses = new Set<number>();
  let over = false;
  const write = async (writer: number) => {
    for (let number = 0; !over; number++) {
      const name = `${writer}-${number}`;
      const { status } = await controlPlane.operate("POST", "/v1/tokens", {
        name,
        scope: "viewer",
      });
      statuses.add(status);
      if (status === 201) acknowledged.push(name);
      else await sleep(50);
    }
  };
  const writers = [1, 2, 3].map(write);
  await sleep(500);
  await kill();
  await sleep(500);
  const before = acknowledged.length;
  await promote();
  for (let waited = 0; acknowledged.length < before + 10 && waited < 300; waited++)
    await sleep(100);
  over = true;
  await Promise.all(writers);
  expect(before).toBeGreaterThan(0);
  expect(acknowledged.length).toBeGreaterThanOrEqual(before + 10);
  expect(statuses).toEqual(new Set([201, 503]));
  const { body } = await controlPlane.operate("GET", "/v1/tokens");
  const kept = new Set(body.items.map(({ name }: { name: string }) => name));
  expect(acknowledged.filter((name) => !kept.has(name))).toEqual([]);
});
