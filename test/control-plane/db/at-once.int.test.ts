import { sql } from "drizzle-orm";
import { expect, onTestFinished, test } from "vitest";
import { transactAtOnce } from "../../../control-plane/db/at-once.ts";
import { connect } from "../../../control-plane/db/connect.ts";
import { createTestDatabase } from "../../helpers/database.ts";

test("statements that are sent at once as a transaction run in their order, and are undone together where one fails", async () => {
  const { connection, drop } = await createTestDatabase();
  onTestFinished(drop);
  const { db, close } = connect({ connection, max: 1 });
  onTestFinished(close);
  await db.execute(sql`create table notes (at int primary key)`);
  const note = (at: number) => sql`insert into notes select ${at}::int returning at`;
  const count = sql`select count(*)::int as notes from notes`;
  const [, one, , two] = await transactAtOnce(db, (tx) => [
    tx.execute(note(1)),
    tx.execute(count),
    tx.execute(note(2)),
    tx.execute(count),
  ]);
  expect([...one.rows, ...two.rows]).toEqual([{ notes: 1 }, { notes: 2 }]);
  for (const [first, second] of [
    [3, 1],
    [1, 3],
  ] as const)
    await expect(
      transactAtOnce(db, (tx) => [tx.execute(note(first)), tx.execute(note(second))]),
    ).rejects.toThrow();
  expect((await db.execute(count)).rows).toEqual([{ notes: 2 }]);
});

test("a connection that ends with what was sent on it is given to nobody else", async () => {
  const { connection, drop } = await createTestDatabase();
  onTestFinished(drop);
  const { db, close } = connect({ connection, max: 1 });
  onTestFinished(close);
  for (let round = 0; round < 10; round++) {
    const ending = transactAtOnce(db, (tx) => [
      tx.execute(sql`select pg_terminate_backend(pg_backend_pid())`),
    ]);
    // It waits for the only connection.
    const next = transactAtOnce(db, (tx) => [tx.execute(sql`select 1 as one`)]);
    await expect(ending).rejects.toThrow();
    expect((await next)[0].rows).toEqual([{ one: 1 }]);
  }
});

test("where one of the statements cannot be sent, none has effect", async () => {
  const { connection, drop } = await createTestDatabase();
  onTestFinished(drop);
  const { db, close } = connect({ connection, max: 1 });
  onTestFinished(close);
  await db.execute(sql`create table notes (at int)`);
  const note = sql`insert into notes values (1)`;
  const circle: { self?: unknown } = {};
  circle.self = circle;
  for (const value of [sql`${circle}::jsonb`, sql.placeholder("nowhere given")])
    await expect(
      transactAtOnce(db, (tx) => [
        tx.execute(note),
        tx.execute(sql`select ${value}`),
        tx.execute(note),
      ]),
    ).rejects.toThrow();
  expect((await db.execute(sql`select from notes`)).rows).toEqual([]);
});
