import { type Placeholder, type SQL, sql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/node-postgres";
import { PgDialect } from "drizzle-orm/pg-core";
import type pg from "pg";
import type { Database } from "./connect.ts";

/** A statement that is ready to be sent. */
type Ready<Answer> = { execute: () => Promise<Answer> };
type Prepared<Answer> = { execute: (values: Record<string, unknown>) => Promise<Answer> };

/** Places in a statement's text where its values go. */
export type Blanks<Values> = { readonly [Name in keyof Values]: Placeholder<string, Values[Name]> };

/** A value, or the blank for it. */
export type Given<Value> = Value | Placeholder;

/** What a text is made of, and for: `now` is the clock's. */
type Made = { db: Database; now: () => SQL };
type For = { db: Database; now?: () => SQL };

/** Where a clock is not asked for. */
const anyClock = {};
const noClock = (): SQL => {
  throw new Error("a statement that asks the clock was given none");
};

const blanks = new Proxy({}, { get: (_, name) => sql.placeholder(String(name)) });

/** Drizzle's session, whose types leave out the connection that it sends on. */
const clientOf = (db: Database) => (db._.session as unknown as { client: pg.Client }).client;

function once<Values, Answer>(
  prepare: (made: Made, blanks: Blanks<Values>) => Prepared<Answer>,
): (ctx: For, values: Values) => Ready<Answer> {
  const known = new WeakMap<object, Prepared<Answer>>();
  return ({ db, now }, values) => {
    const clock: object = now?.() ?? anyClock;
    let made = known.get(clock);
    if (!made) {
      made = prepare({ db: drizzle.mock(), now: now ?? noClock }, blanks as Blanks<Values>);
      known.set(clock, made);
    }
    // Drizzle binds what is prepared to one connection; all else of it is the same on any.
    const here = Object.create(made) as Prepared<Answer> & { client: pg.Client };
    here.client = clientOf(db);
    return { execute: () => here.execute(values as Record<string, unknown>) };
  };
}

/**
 * A statement whose text is made with its first use, once for a clock (`now` answers the same each time, but in
 * tests): making it takes longer than the server takes to run it. `build` gets blanks for the values, which go to the
 * driver as their columns encode them, null too: JSON that may be null is given as text.
 */
export const compiled = <Values, Row>(
  build: (made: Pick<Made, "now">, blanks: Blanks<Values>) => SQL<Row>,
) =>
  once<Values, Omit<pg.QueryResult, "rows"> & { rows: Row[] }>((made, values) => {
    const query = new PgDialect().sqlToQuery(build(made, values));
    return made.db._.session.prepareQuery(query, undefined, undefined, false) as Prepared<any>;
  });

/** The same of what Drizzle's builders make: `build` answers what their `prepare` does. */
export const prepared = <Values, Answer>(
  build: (made: Made, blanks: Blanks<Values>) => Prepared<Answer>,
) => once(build);
