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
