import { drizzle } from "drizzle-orm/node-postgres";
import type pg from "pg";
import type { Database } from "./connect.ts";
import { databaseCode, lockNotAvailable } from "./database-errors.ts";
import type { QuickClient } from "./make-quick.ts";
import type { Sent } from "./together.ts";

type Statement<Answer> = { execute: () => Promise<Answer> };
type Statements<Answers extends unknown[]> = { [K in keyof Answers]: Statement<Answers[K]> };

/** Sends statements of which none waits for what another answers: in a transaction they run in this order. */
export function atOnce<Answers extends unknown[]>(
  statements: Statements<Answers>,
): Promise<Answers> {
  return Promise.all(
    statements.map((statement: Statement<unknown>) => statement.execute()),
  ) as Promise<Answers>;
}

/** A database that runs nothing, and notes what it is to run. */
function noteStatements() {
  const sent: Sent[] = [];
  const query = (statement: pg.QueryConfig, values: unknown[]) =>
    new Promise<pg.QueryResult>((resolve, reject) =>
      sent.push({ statement, values, resolve, reject }),
    );
  return { sent, db: drizzle({ query } as unknown as pg.Client) as Database };
}

/**
 * The same as a transaction of their own, of which nothing is waited for but its end: the server takes them as one
 * message. `db` is a pool.
 */
export async function transactAtOnce<Answers extends unknown[]>(
  db: Database,
  statements: (tx: Database) => Statements<Answers>,
): Promise<Answers> {
  const noted = noteStatements();
  const made = statements(noted.db);
  const answering = atOnce(made);
  // Who waits for them below hears of it.
  answering.catch(() => undefined);
  if (noted.sent.length < made.length) {
    for (const { reject } of noted.sent)
      reject(new Error("another statement of the transaction could not be made"), false);
    return answering;
  }
  const { $client: pool } = db as Database & { $client: pg.Pool };
  const client = (await pool.connect()) as QuickClient;
  let failure: unknown;
  try {
    client.sendTogether(noted.sent);
    return await answering;
  } catch (error) {
    failure = error;
    throw error;
  } finally {
    // After anything but a wait that was too long nobody knows whether it still lives.
    client.release(failure !== undefined && databaseCode(failure) !== lockNotAvailable);
  }
}
