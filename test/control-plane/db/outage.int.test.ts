import { setTimeout as sleep } from "node:timers/promises";
import { sql } from "drizzle-orm";
import pg from "pg";
import { expect, onTestFinished, test } from "vitest";
import { connect } from "../../../control-plane/db/connect.ts";
import { startTcpProxy } from "../../../chaos/tcp-proxy.ts";
import { startControlPlane } from "../../helpers/control-plane.ts";
import { createTestDatabase } from "../../helpers/database.ts";
import { until } from "../../helpers/programs.ts";

/** A test database behind a proxy, and what ends the backends of everybody in it. */
async function makeDatabase() {
  const { connection, drop } = await createTestDatabase();
  onTestFinished(drop);
  const proxy = await startTcpProxy({
    target: () => ({ path: `${connection.host}/.s.PGSQL.${connection.port}` }),
  });
  onTestFinished(proxy.close);
  const { user, database } = connection;
  const url = `postgres://${user}@127.0.0.1:${proxy.port}/${database}`;
  const endBackends = async () => {
    const client = new pg.Client(connection);
    await client.connect();
    await client.query(
      "select pg_terminate_backend(pid) from pg_stat_activity where datname = $1 and pid <> pg_backend_pid()",
      [database],
    );
    await client.end();
  };
  return { url, proxy, endBackends };
}

test("a transaction whose connection ends fails as a whole, and the pool goes on", async () => {
  const { url, endBackends } = await makeDatabase();
  const { db, close } = connect({ connection: url, max: 2 });
  onTestFinished(close);
  await db.execute(sql`create table notes (text text)`);
  for (let round = 0; round < 5; round++) {
    const broken = db.transaction(async (tx) => {
      await tx.execute(sql`insert into notes values ('first')`);
      await endBackends();
      // What comes after must not run on another connection, outside of any transaction.
      await tx.execute(sql`insert into notes values ('second')`);
    });
    await expect(broken).rejects.toThrow();
    const sleeping = db.transaction((tx) => tx.execute(sql`select pg_sleep(30)`));
    await Promise.all([expect(sleeping).rejects.toThrow(), sleep(100).then(endBackends)]);
  }
  const count = () => db.execute(sql`select count(*)::int as count from notes`);
  const { rows } = await until("the pool works", () => count().catch(() => null));
  expect(rows).toEqual([{ count: 0 }]);
  for (let round = 0; round < 4; round++)
    expect((await db.transaction((tx) => tx.execute(sql`select 1 as one`))).rows).toHaveLength(1);
});

test("while the database is away, requests are answered 503 with a problem document, and served again afterwards", async () => {
  const { url, proxy } = await makeDatabase();
  const controlPlane = await startControlPlane({ connection: url });
  onTestFinished(controlPlane.close);
  expect((await controlPlane.operate("GET", "/v1/projects")).status).toBe(200);
  await proxy.close();
  const operation = await controlPlane.operate("GET", "/v1/projects");
  expect(operation).toMatchObject({ status: 503, body: { code: "unavailable" } });
  expect((await controlPlane.operate("GET", "/readyz")).status).toBe(503);
});
