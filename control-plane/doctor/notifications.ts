import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { connect, type Connection } from "../db/connect.ts";
import { fault } from "./cure.ts";

const channel = "mirrorfleet_doctor";
const patienceMilliseconds = 3000;

/** Does a NOTIFY of one connection reach a LISTEN of another? Not through a pooler in transaction mode. */
export async function checkNotifications({
  connection,
}: {
  connection: Connection;
}): Promise<string> {
  const { pool, close } = connect({ connection, max: 2 });
  const listening = await pool.connect();
  try {
    const heard = Promise.withResolvers<true>();
    const word = randomUUID();
    listening.on("notification", ({ payload }) => payload === word && heard.resolve(true));
    await listening.query(`listen ${channel}`);
    const started = performance.now();
    await pool.query("select pg_notify($1, $2)", [channel, word]);
    if (!(await Promise.race([heard.promise, sleep(patienceMilliseconds, false)])))
      throw fault(
        "a NOTIFY does not arrive: held polls look for work every 3 seconds instead, which costs time and queries. On a pooler in transaction mode that is so: set DATABASE_URL to Postgres itself, or to a pool in session mode",
      );
    return `a NOTIFY arrives after ${(performance.now() - started).toFixed(0)} ms`;
  } finally {
    listening.release(true);
    await close();
  }
}
