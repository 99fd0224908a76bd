import { setTimeout as sleep } from "node:timers/promises";
import { sql } from "drizzle-orm";
import { expect, onTestFinished, test } from "vitest";
import { transactAtOnce } from "../../../control-plane/db/at-once.ts";
import { connect, type Connection, type Database } from "../../../control-plane/db/connect.ts";
import { createTestDatabase } from "../../helpers/database.ts";
import { temporaryDirectory } from "../../helpers/postgres.ts";
import { noPgBouncer, startPgBouncer } from "../../helpers/proxies.ts";

function open(connection: Connection, { max }: { max: number }) {
  const { db, close } = connect({ connection, max });
  onTestFinished(close);
  return db;
}

const named = sql`/* a statement with a name */ select ${"word"}::text as said`;

test("the server keeps the plans of statements that have a name, and no others", async () => {
  const { connection, drop } = await createTestDatabase();
  onTestFinished(drop);
  const db = open(connection, { max: 1 });
  for (let round = 0; round < 3; round++) {
    await db.execute(sql`select ${round}::int as round`);
    expect((await db.execute(named)).rows).toEqual([{ said: "word" }]);
  }
  const { rows } = await db.execute(sql`select name from pg_prepared_statements`);
  expect(rows).toEqual([{ name: "a statement with a name" }]);
});

test("behind PgBouncer in transaction mode no statement has a name, whichever server it reaches", async ({
  skip,
}) => {
  const why = noPgBouncer();
  skip(why !== null, why ?? "");
  const { connection, drop } = await createTestDatabase();
  onTestFinished(drop);
  const directory = await temporaryDirectory({ mode: 0o755 });
  const db = open(await startPgBouncer(connection, { directory }), { max: 4 });
  const ask = async () => {
    const { rows } = await db.execute(named);
    expect(rows).toEqual([{ said: "word" }]);
    const { rows: kept } = await db.execute(sql`select name from pg_prepared_statements`);
    expect(kept).toEqual([]);
  };
  for (let round = 0; round < 5; round++) await Promise.all(Array.from({ length: 8 }, ask));
});

test("where a transaction cannot begin, nothing has effect of what is sent with it or behind it", async () => {
  const { connection, drop } = await createTestDatabase();
  onTestFinished(drop);
  const db = open(connection, { max: 1 });
  await db.execute(sql`create table notes (at int)`);
  const note = (tx: Database) => tx.execute(sql`insert into notes values (1)`);
  const impossible = { isolationLevel: "impossible" as "serializable" };
  for (const pause of [0, 1, 20]) {
    const noting = db.transaction(async (tx) => {
      if (pause > 0) await sleep(pause);
      const first = Promise.allSettled([note(tx), note(tx)]);
      await sleep(pause);
      await Promise.allSettled([note(tx), first]);
      await note(tx);
    }, impossible);
    await expect(noting).rejects.toThrow();
  }
  expect((await db.execute(sql`select from notes`)).rows).toEqual([]);
});

test("statements that come one after another in a transaction are its own, whenever the first one comes", async () => {
  const { connection, drop } = await createTestDatabase();
  onTestFinished(drop);
  const db = open(connection, { max: 1 });
  await db.execute(sql`create table notes (at int)`);
  const note = (tx: Database, at: number) => tx.execute(sql`insert into notes values (${at})`);
  for (const pause of [0, 1, 20]) {
    const noting = db.transaction(async (tx) => {
      if (pause > 0) await sleep(pause);
      await Promise.all([note(tx, 1), note(tx, 2)]);
      await note(tx, 3);
      throw new Error("undone");
    });
    await expect(noting).rejects.toThrow("undone");
    await db.transaction(async (tx) => {
      if (pause > 0) await sleep(pause);
      await Promise.all([note(tx, pause), note(tx, pause)]);
    });
  }
  const { rows } = await db.execute(
    sql`select at, count(*)::int times from notes group by 1 order by 1`,
  );
  expect(rows).toEqual([0, 1, 20].map((at) => ({ at, times: 2 })));
});

test("a transaction of which a statement failed is not taken for one that was committed, whoever heard of the failure", async () => {
  const { connection, drop } = await createTestDatabase();
  onTestFinished(drop);
  const db = open(connection, { max: 1 });
  await db.execute(sql`create table notes (at int)`);
  const noting = db.transaction(async (tx) => {
    await tx.execute(sql`insert into notes values (1)`);
    await tx.execute(sql`select 1 / 0`).catch(() => undefined);
  });
  await expect(noting).rejects.toThrow();
  expect((await db.execute(sql`select from notes`)).rows).toEqual([]);
});

test("a time limit of the driver's for queries ends with them", async () => {
  const { connection, drop } = await createTestDatabase();
  onTestFinished(drop);
  const { host, port, user, database } = connection;
  const limited = `postgres://${user}@localhost/${database}?host=${host}&port=${port}&query_timeout=300`;
  const { db, close } = connect({ connection: limited, max: 1 });
  onTestFinished(close);
  const pid = async () => {
    const one = sql<{ pid: number }>`select pg_backend_pid() pid`;
    const [{ rows }] = await transactAtOnce(db, (tx) => [tx.execute<{ pid: number }>(one)]);
    return rows[0]!.pid;
  };
  const first = await pid();
  await sleep(600);
  expect(await pid()).toBe(first);
});
