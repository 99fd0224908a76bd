import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { type SQL, sql } from "drizzle-orm";
import type { Logger } from "pino";
import type { Ctx } from "../context.ts";
import { connect, type Connection, type Database } from "../db/connect.ts";
import { openWaiters } from "./waiters.ts";

/** What notifications are told on: a host's id. */
export const channel = "mirrorfleet_wake";
/** Milliseconds between probes of the LISTEN connection: it can die without a word. */
const probeMilliseconds = 10_000;
/** Milliseconds within which a probe comes back. */
const echoMilliseconds = 5000;
/** While no notification comes, as behind a pooler, held polls look for themselves as often. */
const deafMilliseconds = 3000;

/** Wakes the held polls of hosts, on whatever replica they are, when the transaction commits. */
export const notifyHosts = ({ db }: { db: Database }, { hostIds }: { hostIds: string[] }) =>
  db.execute(sql`/* notify hosts */
    select pg_notify(${channel}, id) from json_array_elements_text(${JSON.stringify(hostIds)}::json) id`);

/** Wakes the hosts whose tasks wait for a place at a master. */
export const notifyWaitingFor = ({ db }: { db: Database }, { masterId }: { masterId: string }) =>
  db.execute(sql`
    select pg_notify(${channel}, host_id::text) from (
      select distinct t.host_id from tasks t
      join replicas r on r.project_id = t.project_id and r.role = 'master'
      where t.state = 'queued' and t.role = 'ftp' and r.host_id = ${masterId}) waiting`);

/**
 * Wakes the hosts for which tasks' ends may make a place: their own; after a pull, masters, as they may pull from the
 * same upstream; after an FTP host's, those that wait for a place at its master, where that has a limit. `ended` is a
 * table of `project_id, host_id, role`.
 */
export const notifyOfPlaces = ({ ended }: { ended: SQL }) => sql`
  select pg_notify(${channel}, id::text) from (
    select host_id id from ${ended} ended
    union select id from hosts
      where roles @> '{master}' and exists (select from ${ended} ended where ended.role = 'master')
    union select t.host_id from ${ended} ended
      join replicas limited on limited.project_id = ended.project_id and limited.role = 'master'
      join hosts m on m.id = limited.host_id and m.serves is not null
      join replicas r on r.host_id = m.id and r.role = 'master'
      join tasks t on t.project_id = r.project_id and t.state = 'queued' and t.role = 'ftp'
      where ended.role = 'ftp'
  ) host`;

/** One connection that listens. `lost` settles when it has ended; `probe` tells whether it hears itself. */
async function openEar({
  connection,
  hear,
}: {
  connection: Connection;
  hear: (payload: string) => void;
}) {
  // The probe has a connection of its own: one that listened through a pooler would hear its own words alone.
  const { pool, close } = connect({ connection, max: 2 });
  const self = `probe ${randomUUID()}`;
  let echo = () => {};
  try {
    const client = await pool.connect();
    const lost = new Promise<void>((resolve) => {
      client.on("error", () => resolve());
      client.on("end", () => resolve());
    });
    client.on("notification", ({ payload = "" }) => (payload === self ? echo() : hear(payload)));
    await client.query(`listen ${channel}`);
    const probe = async (): Promise<boolean> => {
      const heard = new Promise<boolean>((resolve) => (echo = () => resolve(true)));
      // What becomes of the query does not matter: the echo does, and in a black hole neither ends.
      pool.query("select pg_notify($1, $2)", [channel, self]).catch(() => undefined);
      return Promise.race([heard, lost.then(() => false), sleep(echoMilliseconds, false)]);
    };
    const end = async () => {
      client.release(true);
      await close();
    };
    return { lost, probe, end };
  } catch (error) {
    await close();
    throw error;
  }
}

type Ear = Awaited<ReturnType<typeof openEar>>;

/** Keeps one LISTEN connection that is known to hear; while there is none, `wakeAll` stands in for it. */
function keepListening(
  ctx: { log: Logger; wakeAll: () => void; open: () => Promise<Ear> },
  { first }: { first: Ear },
): () => Promise<void> {
  const stop = new AbortController();
  const pause = (milliseconds: number) =>
    sleep(milliseconds, undefined, { signal: stop.signal }).catch(() => undefined);
  let ear: Ear | null = first;
  let deaf = false;
  const round = async () => {
    ear ??= await ctx.open();
    const hears = await ear.probe();
    if (hears !== deaf) return hears;
    deaf = !hears;
    if (deaf) ctx.log.warn(`no notifications come: held polls look every ${deafMilliseconds} ms`);
    else ctx.log.info("notifications come again");
    return hears;
  };
  const run = async () => {
    while (!stop.signal.aborted) {
      const hears = await round().catch((error: unknown) => {
        ctx.log.warn({ err: error }, "cannot open the LISTEN connection");
        return false;
      });
      // What was told while nobody heard it is looked for.
      if (!hears || deaf) ctx.wakeAll();
      if (hears && ear) {
        await Promise.race([pause(probeMilliseconds), ear.lost]);
        continue;
      }
      const old = ear;
      ear = null;
      await Promise.all([old?.end(), pause(deafMilliseconds)]);
      ctx.wakeAll();
    }
    await ear?.end();
  };
  const running = run();
  return async () => {
    stop.abort();
    await running;
  };
}

/** Opens this replica's one LISTEN connection, and one that probes it. Notifications are hints: a lost one costs time, not work. */
export async function startWake({ connection, log }: { connection: Connection; log: Logger }) {
  const waiters = openWaiters();
  const wakeAll = () => waiters.wakeAll(true);
  const open = async () => {
    const ear = await openEar({ connection, hear: waiters.wakeHost });
    wakeAll();
    return ear;
  };
  const stopListening = keepListening({ log, wakeAll, open }, { first: await open() });

  let released = false;
  // Not all again at once that have come at once.
  const waitForWake: Ctx["waitForWake"] = ({ hostId, seconds }) =>
    waiters.wait({ hostId, seconds: released ? 0 : seconds * (1 - Math.random() / 5) });
  /** Ends all waits, and those that are yet to begin. */
  const release = async () => {
    released = true;
    waiters.wakeAll(false);
  };
  const close = async () => {
    await release();
    await stopListening();
  };
  return { waitForWake, release, close };
}
