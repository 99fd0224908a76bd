import { generateKeyPairSync, randomUUID } from "node:crypto";
import { join } from "node:path";
import { eq, sql } from "drizzle-orm";
import { decodeJwt } from "jose";
import { pino } from "pino";
import postgres from "postgres";
import { deriveSecrets } from "../control-plane/auth/secrets.ts";
import { openFleet } from "../control-plane/auth/task-keys.ts";
import type { Ctx } from "../control-plane/context.ts";
import { connect } from "../control-plane/db/connect.ts";
import { startEmbeddedPostgres } from "../control-plane/db/embedded-postgres.ts";
import { migrate } from "../control-plane/db/migrate.ts";
import { hosts as hostTable } from "../control-plane/db/schema/hosts.ts";
import { projects } from "../control-plane/db/schema/projects.ts";
import { finishAttempt } from "../control-plane/dispatch/finish.ts";
import { heartbeat, leaseTask } from "../control-plane/dispatch/lease.ts";
import { materialiseDue } from "../control-plane/schedule/materialise.ts";
import { nothingDone, type Result } from "../protocol/report.ts";
import { fillHistory, makeFleetRows } from "./history-fill.ts";

const print = (text: string) => process.stdout.write(`${text}\n`);

type Connection = { host: string; port: number; database: string; user: string };
type Timings = Map<string, number[]>;

const done: Result = {
  ...nothingDone,
  outcome: "ok",
  exitCode: 0,
  message: "by change list 4711",
  changes: 12,
  seconds: 1,
  logBytes: 0,
};

/** The value below which a share of them is. */
const below = (values: number[], share: number) =>
  values.toSorted((left, right) => left - right)[Math.floor(values.length * share)]!;

/** Does something, and notes how many milliseconds that took. */
async function timed<Value>(
  timings: Timings,
  name: string,
  work: () => Promise<Value>,
): Promise<Value> {
  const started = performance.now();
  const value = await work();
  const list = timings.get(name) ?? [];
  timings.set(name, list);
  list.push(performance.now() - started);
  return value;
}

/** One run's whole life through the product's own functions: due, pulled by the master, carried by each host. */
async function oneRun(ctx: Ctx, timings: Timings, { round }: { round: number }): Promise<void> {
  const name = `project-${1 + (round % 100)}`;
  await ctx.db
    .update(projects)
    .set({ nextRunAt: sql`now()` })
    .where(eq(projects.name, name));
  await timed(timings, "materialise", () => materialiseDue(ctx));
  const hosts = await ctx.db.select().from(hostTable);
  const isMaster = ({ roles }: (typeof hosts)[number]) => Number(roles.includes("ftp"));
  for (const host of hosts.toSorted((left, right) => isMaster(left) - isMaster(right))) {
    const { lease } = await timed(timings, "lease", () =>
      leaseTask(ctx, { hostId: host.id, busy: [], pollId: randomUUID() }),
    );
    const { sub, attempt } = decodeJwt<{ attempt: number }>(lease!.order);
    const task = { taskId: sub!, attempt };
    await timed(timings, "heartbeat", () => heartbeat(ctx, { ...task, progress: null }));
    const kind = host.roles.includes("master") ? "finish (master)" : "finish (host)";
    await timed(timings, kind, () => finishAttempt(ctx, { ...task, result: done }));
    // The next occurrence's schedule begins a minute later: it must not fall due by itself.
    await ctx.db.update(projects).set({ nextRunAt: null });
  }
}

/** A control plane's context on one database, of which `notice` hears what the server says. */
async function openCtx(connection: Connection, { notice }: { notice: (text: string) => void }) {
  const { pool, db, close } = connect({ connection, max: 1 });
  pool.on("connect", (client) => client.on("notice", ({ message }) => notice(String(message))));
  const now = () => sql`now()`;
  const derived = deriveSecrets({ secret: Buffer.alloc(32, 1) });
  const ctx: Ctx = {
    db,
    log: pino({ level: "silent" }),
    secrets: { ...derived, fleet: await openFleet({ db, now, secrets: derived }) },
    oidc: null,
    share: (_name, read) => read(),
    now,
    waitForWake: () => {
      throw new Error("nothing is waited for here");
    },
  };
  // What is compared is the work, not how long this disk takes to say that it has it.
  await pool.query("set synchronous_commit = off");
  return { ctx, pool, close };
}

async function makeDatabase(server: Connection, { tasks }: { tasks: number }): Promise<Connection> {
  const connection = { ...server, database: `history_${tasks}` };
  const admin = postgres({ ...server, max: 1 });
  await admin`create database ${admin(connection.database)}`;
  await admin.end();
  await migrate({ connection });
  const client = postgres({ ...connection, max: 1, onnotice: () => {} });
  const { x } = generateKeyPairSync("x25519").publicKey.export({ format: "jwk" });
  await makeFleetRows(client, { sealingKey: { kty: "OKP", crv: "X25519", x } });
  const started = performance.now();
  await fillHistory(client, { tasks });
  const [size] = await client`select pg_size_pretty(pg_database_size(current_database())) size`;
  await client.end();
  print(
    `filled ${tasks} tasks: ${size?.["size"]}, ${((performance.now() - started) / 1000).toFixed(0)} s`,
  );
  return connection;
}

/** How each statement of a run's life reads the tables that hold history. */
async function printPlans(connection: Connection): Promise<void> {
  const seen = new Set<string>();
  const notice = (text: string) => {
    for (const [line] of text.matchAll(/\w+( \w+)* Scan.* (on|using) .*/g))
      if (/ (runs|tasks|attempts|\w+_(of|leased|waiting|active)\w*)\b/.test(line))
        seen.add(line.replace(/\s+\(.*/, ""));
  };
  const { ctx, pool, close } = await openCtx(connection, { notice });
  await pool.query(
    "load 'auto_explain'; set auto_explain.log_min_duration = 0; set auto_explain.log_level = notice",
  );
  await oneRun(ctx, new Map(), { round: 99 });
  await close();
  for (const line of [...seen].toSorted()) print(`  ${line}`);
}

const row = (cells: string[]) =>
  print(
    cells
      .map((cell, at) => (at === 0 ? cell.padEnd(18) : cell.padStart(14)))
      .join("")
      .trimEnd(),
  );

function printTimings(
  title: string,
  places: { tasks: number; timings: Timings }[],
  { share }: { share: number },
): void {
  const [fewest, ...more] = places;
  row([
    title,
    ...places.map(({ tasks }) => String(tasks)),
    ...more.map(({ tasks }) => `x at ${tasks}`),
  ]);
  for (const name of fewest!.timings.keys()) {
    const values = places.map(({ timings }) => below(timings.get(name)!, share));
    row([
      name,
      ...values.map((value) => value.toFixed(2)),
      ...values.slice(1).map((value) => (value / values[0]!).toFixed(2)),
    ]);
  }
}

/**
 * Prints what the steps of a run cost beside so many finished tasks, in milliseconds, and that by what
 * they cost beside the fewest. The databases take turns, so that what else the machine does hits all.
 */
export async function history(
  { directory }: { directory: string },
  { sizes, rounds }: { sizes: number[]; rounds: number },
): Promise<void> {
  const server = await startEmbeddedPostgres(
    { log: print },
    {
      directory: join(directory, "postgres"),
      systemDirectory: join(directory, "system"),
      // Filling goes round the write-ahead log.
      settings: {
        wal_level: "minimal",
        max_wal_senders: "0",
        max_parallel_workers_per_gather: "0",
      },
    },
  );
  try {
    const places = [];
    for (const tasks of sizes)
      places.push({
        tasks,
        timings: new Map() as Timings,
        connection: await makeDatabase(server.connection, { tasks }),
      });
    const opened = [];
    for (const place of places)
      opened.push({ ...place, ...(await openCtx(place.connection, { notice: () => {} })) });
    // The first rounds fill caches.
    for (let round = -5; round < rounds; round++)
      // Whoever comes first after the others would be the one with cold caches.
      for (let at = 0; at < opened.length; at++) {
        const { ctx, timings } = opened[(at + round + 5) % opened.length]!;
        await oneRun(ctx, round < 0 ? new Map() : timings, { round: round + 5 });
      }
    printTimings("ms (median)", opened, { share: 0.5 });
    // On a machine that does something else as well, this is nearer to what the work costs.
    printTimings("ms (best tenth)", opened, { share: 0.1 });
    for (const { close } of opened) await close();
    print(`\nhow they read, with ${sizes.at(-1)} finished tasks:`);
    await printPlans(opened.at(-1)!.connection);
  } finally {
    await server.stop();
  }
}
