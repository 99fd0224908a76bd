import { type SQL, sql } from "drizzle-orm";
import type { PgColumn } from "drizzle-orm/pg-core";
import { z } from "zod";
import { AppError } from "../../../protocol/errors.ts";
import { instant } from "../../../protocol/instant.ts";

const keySchema = z.array(z.string().max(200)).min(1).max(2);

function decode(cursor: string): string[] {
  try {
    return keySchema.parse(JSON.parse(Buffer.from(cursor, "base64url").toString()));
  } catch (cause) {
    const message = "must be the nextCursor of an earlier answer";
    throw new AppError("invalid-input", `cursor ${message}`, {
      cause,
      fields: [{ field: "cursor", message }],
    });
  }
}

// A cursor comes from outside: what is not of the column's type must not reach Postgres.
const castable: Record<string, z.ZodType> = {
  date: instant,
  string: z.string().regex(/^[^\0]*$/),
};

/** Condition that leaves out the rows up to a cursor. @throws AppError `invalid-input`. */
export function after({
  cursor,
  columns,
  descending,
}: {
  cursor: string | undefined;
  columns: PgColumn[];
  descending: boolean;
}): SQL | undefined {
  if (cursor === undefined) return undefined;
  const key = decode(cursor);
  const fits = columns.every(
    (column, index) =>
      (column.columnType === "PgUUID" ? z.uuid() : castable[column.dataType])?.safeParse(key[index])
        .success,
  );
  if (!fits || key.length !== columns.length)
    throw new AppError("invalid-input", "cursor is of another list", {
      fields: [{ field: "cursor", message: "is of another list" }],
    });
  const values = key.map((text, index) => sql`${text}::${sql.raw(columns[index]!.getSQLType())}`);
  const left = sql.join(columns, sql`, `);
  const right = sql.join(values, sql`, `);
  return descending ? sql`(${left}) < (${right})` : sql`(${left}) > (${right})`;
}

/** Makes a page of rows, one more of which was read than it has room for. */
export function page<Row, View>({
  rows,
  limit,
  key,
  view,
}: {
  rows: Row[];
  limit: number;
  key: (row: Row) => string[];
  view: (row: Row) => View;
}): { items: View[]; nextCursor: string | null } {
  const shown = rows.slice(0, limit);
  const last = shown.at(-1);
  return {
    items: shown.map(view),
    nextCursor:
      rows.length > limit && last
        ? Buffer.from(JSON.stringify(key(last))).toString("base64url")
        : null,
  };
}
