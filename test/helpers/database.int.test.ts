import { expect, test } from "vitest";
import { createTestDatabase } from "./database.ts";
import { query } from "./postgres.ts";

test("test databases are migrated, and one does not see what another holds", async () => {
  const [first, second] = await Promise.all([createTestDatabase(), createTestDatabase()]);
  const tables = "select tablename from pg_tables where schemaname = 'public' order by 1";
  const migrated = await query(first.connection, tables);
  expect(migrated.map((row) => row["tablename"])).toContain("projects");
  await query(first.connection, "create table only_here (id int)");
  expect(await query(second.connection, tables)).toEqual(migrated);
  await Promise.all([first.drop(), second.drop()]);
  await expect(query(first.connection, "select 1")).rejects.toThrow("does not exist");
});
