import { Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { drizzle, type NodePgQueryResultHKT } from "drizzle-orm/node-postgres";
import type { PgDatabase } from "drizzle-orm/pg-core";
import pg from "pg";
import { AppError } from "../../protocol/errors.ts";
import { connectToAny, urlsOf } from "./any-host.ts";
import { makeQuick } from "./make-quick.ts";

/** Where the database is: a URL, or the socket directory of the embedded one. */
export type Connection = string | { host: string; database: string; user: string };

/** A pool, or a transaction on one of its connections: whoever takes one works in both. */
export type Database = PgDatabase<NodePgQueryResultHKT>;

/** Seconds after which a connection that says nothing is taken for dead: a black hole ends no query by itself. */
const silentSeconds = 40;
/** Shorter: a connection that rests is closed in an orderly way. */
const idleSeconds = 30;
const connectSeconds = 10;

function limitedSocket(): Socket {
  const socket = new Socket();
  socket.setTimeout(silentSeconds * 1000, () =>
    socket.destroy(new Error(`the database has said nothing for ${silentSeconds} seconds`)),
  );
  return socket;
}

function openPool({
  connection,
  max,
  patient,
}: {
  connection: Connection;
  max: number;
  patient: boolean;
}): pg.Pool {
  const pool = new pg.Pool({
    ...(typeof connection === "string" ? { connectionString: urlsOf(connection)[0] } : connection),
    max,
    application_name: "mirrorfleet",
    connectionTimeoutMillis: connectSeconds * 1000,
    idleTimeoutMillis: idleSeconds * 1000,
    keepAlive: true,
    pipeline: true,
    ...(!patient && { stream: limitedSocket }),
  });
  // A connection that ends is replaced when the next one is needed; who works on it hears of it by its query.
  pool.on("error", () => undefined);
  pool.on("connect", (client) => {
    client.on("error", () => undefined);
    makeQuick(client);
  });
  if (typeof connection === "string") connectToAny(pool, { url: connection });
  return pool;
}

/**
 * Opens a pool of at most `max` connections, each made when it is first needed. `patient`: waits for an
 * answer however long it takes.
 */
export function connect({
  connection,
  max = 10,
  patient = false,
}: {
  connection: Connection;
  max?: number;
  patient?: boolean;
}) {
  const pool = openPool({ connection, max, patient });
  const db: Database = drizzle(pool);
  // Drizzle's own does not give the connection back when "begin" fails on it.
  db.transaction = async (work, config) => {
    const client = await pool.connect();
    let failure: unknown;
    try {
      return await drizzle(client).transaction(work, config);
    } catch (error) {
      failure = error;
      throw error;
    } finally {
      // After anything but a refusal of ours nobody knows in what state it is.
      client.release(failure !== undefined && !(failure instanceof AppError));
    }
  };
  const close = async () => {
    await Promise.race([pool.end(), sleep(5000, undefined, { ref: false })]);
  };
  return { pool, db, close };
}
