import { sql } from "drizzle-orm";
import { expect, onTestFinished, test } from "vitest";
import { connect, type Connection } from "../../../control-plane/db/connect.ts";
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
