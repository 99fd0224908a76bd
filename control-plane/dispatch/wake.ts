import { randomUUID } from "node:crypto";
import { sql } from "drizzle-orm";
import type { Logger } from "pino";
import { connect, type Connection, type Database } from "../db/connect.ts";
import type { Waiter } from "../context.ts";

const channel = "mirrorfleet_wake";
/** Milliseconds between probes of the LISTEN connection: it can die without a word. */
const probeMilliseconds = 10_000;

/** Wakes the held poll of a host, on whatever replica it is, when the transaction commits. */
export async function notifyHost(
  { db }: { db: Database },
  { hostId }: { hostId: string },
): Promise<void> {
  await db.execute(sql`select pg_notify(${channel}, ${hostId})`);
}

/** Wakes the hosts whose tasks wait for a place at a master. */
export async function notifyWaitingFor(
  { db }: { db: Database },
  { masterId }: { masterId: string },
): Promise<void> {
  await db.execute(sql`
    select pg_notify(${channel}, host_id::text) from (
      select distinct t.host_id from tasks t
      join replicas r on r.project_id = t.project_id and r.role = 'master'
      where t.state = 'queued' and t.role = 'ftp' and r.host_id = ${masterId}) waiting`);
}

/** Opens this replica's one LISTEN connection. Notifications are hints: a lost one costs time, not work. */
export async function startWake({ connection, log }: { connection: Connection; log: Logger }) {
  const waiters = new Map<string, Set<() => void>>();
  const wakeAll = () => {
    for (const group of waiters.values()) for (const wake of group) wake();
  };
  const self = `probe ${randomUUID()}`;
  let echoed = true;
  const listen = async () => {
    const { sql: client } = connect({ connection, max: 1 });
    await client.listen(
      channel,
      (payload) => {
        if (payload === self) echoed = true;
        for (const wake of waiters.get(payload) ?? []) wake();
      },
      wakeAll,
    );
    return client;
  };
  let client = await listen();
  const probe = async () => {
    if (!echoed) {
      log.warn("the LISTEN connection went silent: opening another");
      const old = client;
      client = await listen();
      wakeAll();
      old
        .end({ timeout: 1 })
        .catch((error: unknown) => log.warn({ err: error }, "closing the silent connection"));
    }
    echoed = false;
    await client.notify(channel, self);
  };
  const timer = setInterval(() => {
    probe().catch((error: unknown) =>
      log.warn({ err: error }, "probe of the LISTEN connection failed"),
    );
  }, probeMilliseconds);

  const waitForWake = ({
    hostId,
    seconds,
    signal,
  }: {
    hostId: string;
    seconds: number;
    signal: AbortSignal;
  }): Waiter => {
    const group = waiters.get(hostId) ?? new Set<() => void>();
    waiters.set(hostId, group);
    const { promise, resolve } = Promise.withResolvers<void>();
    const cancel = () => {
      clearTimeout(timeout);
      group.delete(cancel);
      if (group.size === 0 && waiters.get(hostId) === group) waiters.delete(hostId);
      signal.removeEventListener("abort", cancel);
      resolve();
    };
    const timeout = setTimeout(cancel, seconds * 1000);
    group.add(cancel);
    signal.addEventListener("abort", cancel);
    if (signal.aborted) cancel();
    return { woken: promise, cancel };
  };
  const close = async () => {
    clearInterval(timer);
    wakeAll();
    await client.end({ timeout: 2 });
  };
  return { waitForWake, release: async () => wakeAll(), close };
}
