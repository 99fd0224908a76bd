import { and, arrayContains, asc, eq, isNull, sql } from "drizzle-orm";
import type { z } from "zod";
import { AppError } from "../../../protocol/errors.ts";
import type { Poll } from "../../../protocol/fleet.ts";
import type { Host, HostCreate, hostsQuerySchema } from "../../../protocol/host.ts";
import type { Ctx } from "../../context.ts";
import { hosts } from "../schema/hosts.ts";
import { growthOfRoom, withForecast } from "./disk-samples.ts";
import { after, page } from "./page.ts";
import { contactSeconds } from "./settings.ts";

type HostRow = typeof hosts.$inferSelect;
type Listed = {
  host: HostRow;
  runningTasks: number;
  inContact: boolean;
  growth: Record<string, number>;
};

const notFound = () => new AppError("not-found", "there is no such host");

const select = ({ db, now }: Pick<Ctx, "db" | "now">) =>
  db
    .select({
      host: hosts,
      // Written out: Drizzle names no table where a query has but one, and "id" would be the task's.
      runningTasks: sql<number>`(select count(*)::int from tasks t where t.host_id = hosts.id and t.state = 'leased')`,
      inContact: sql<boolean>`coalesce(${hosts.lastSeenAt} > ${now()} - ${contactSeconds} * interval '1 second', false)`,
      growth: growthOfRoom,
    })
    .from(hosts);

function stateOf({ revokedAt, quarantinedAt, signingKey }: HostRow): Host["state"] {
  if (revokedAt) return "revoked";
  if (quarantinedAt) return "quarantined";
  return signingKey ? "enrolled" : "invited";
}

function hostView({ host, runningTasks, inContact, growth }: Listed): Host {
  return {
    id: host.id,
    name: host.name,
    roles: host.roles,
    addresses: host.addresses,
    labels: host.labels,
    parallel: host.parallel,
    serves: host.serves,
    state: stateOf(host),
    quarantine: host.quarantinedAt && {
      since: host.quarantinedAt.toISOString(),
      reason: host.quarantineReason,
    },
    drained: host.drainedAt !== null,
    runningTasks,
    roots: host.roots.map(({ path }) => path),
    agentVersion: host.agentVersion,
    rsyncVersion: host.facts?.rsyncVersion ?? null,
    daemon:
      host.daemonPort === null
        ? null
        : { port: host.daemonPort, keySha256: host.facts?.tls?.daemonKeySha256 ?? null },
    disks: (host.facts?.roots ?? []).map((disk) =>
      withForecast(disk, { growth: growth[disk.path], at: host.factsAt! }),
    ),
    quarantineDays: host.facts?.quarantineDays ?? null,
    clockSkewSeconds: host.clockSkewSeconds,
    factsAt: host.factsAt?.toISOString() ?? null,
    lastSeenAt: host.lastSeenAt?.toISOString() ?? null,
    inContact,
    createdAt: host.createdAt.toISOString(),
  };
}

/** Inserts a host that has yet to enrol. @throws AppError `conflict`. */
export async function insertHost({ db }: Pick<Ctx, "db">, values: HostCreate): Promise<HostRow> {
  const [host] = await db.insert(hosts).values(values).onConflictDoNothing().returning();
  if (!host) {
    throw new AppError(
      "conflict",
      `there is a host "${values.name}" already: it is invited again with its name alone (mirrorfleet host invite ${values.name}; POST /v1/hosts/${values.name}/enrolment-tokens)`,
    );
  }
  return host;
}

/** A page of hosts, by name. */
export async function readHosts(
  ctx: Pick<Ctx, "db" | "now">,
  { role, limit, cursor }: z.output<typeof hostsQuerySchema>,
) {
  const rows = await select(ctx)
    .where(
      and(
        role === undefined ? undefined : arrayContains(hosts.roles, [role]),
        after({ cursor, columns: [hosts.name], descending: false }),
      ),
    )
    .orderBy(asc(hosts.name))
    .limit(limit + 1);
  return page({ rows, limit, key: ({ host }) => [host.name], view: hostView });
}

/** One host. @throws AppError `not-found`. */
export async function readHost(
  ctx: Pick<Ctx, "db" | "now">,
  { name }: { name: string },
): Promise<Host> {
  const [row] = await select(ctx).where(eq(hosts.name, name));
  if (!row) throw notFound();
  return hostView(row);
}

/** One host's row, locked against other changes, not against rows that refer to it. @throws AppError `not-found`. */
export async function lockHost(
  { db }: Pick<Ctx, "db">,
  { name }: { name: string },
): Promise<HostRow> {
  const [host] = await db.select().from(hosts).where(eq(hosts.name, name)).for("no key update");
  if (!host) throw notFound();
  return host;
}

/** Changes columns of a host. */
export async function updateHost(
  { db }: Pick<Ctx, "db">,
  { id, values }: { id: string; values: Partial<typeof hosts.$inferInsert> },
): Promise<void> {
  await db.update(hosts).set(values).where(eq(hosts.id, id));
}

/** Ids of the hosts with role master. */
export async function masterIds({ db }: Pick<Ctx, "db">): Promise<string[]> {
  return (
    await db
      .select({ id: hosts.id })
      .from(hosts)
      .where(arrayContains(hosts.roles, ["master"]))
  ).map(({ id }) => id);
}

/** The masters that may have an agent, by name. */
export async function readMasters({ db }: Pick<Ctx, "db">): Promise<HostRow[]> {
  return db
    .select()
    .from(hosts)
    .where(and(arrayContains(hosts.roles, ["master"]), isNull(hosts.revokedAt)))
    .orderBy(asc(hosts.name));
}

/** Ids of all hosts. */
export async function hostIds({ db }: Pick<Ctx, "db">): Promise<string[]> {
  return (await db.select({ id: hosts.id }).from(hosts)).map(({ id }) => id);
}

/**
 * Notes that a host's agent polled, and what it says of itself. Answers whether it was revoked meanwhile; null,
 * with nothing noted, where it is another process than the one that is known, or the host is quarantined.
 */
export async function noteSeen(
  { db }: Pick<Ctx, "db">,
  { hostId, poll }: { hostId: string; poll: Poll },
): Promise<{ revoked: boolean } | null> {
  const [host] = await db
    .update(hosts)
    .set({
      lastSeenAt: sql`now()`,
      agentVersion: poll.agentVersion,
      daemonPort: poll.daemonPort,
      roots: poll.roots,
      ...(poll.facts && { facts: poll.facts, factsAt: sql`now()` }),
      ...(poll.clock !== undefined && {
        clockSkewSeconds: sql`round(extract(epoch from ${poll.clock}::timestamptz - clock_timestamp()), 3)`,
      }),
    })
    .where(
      and(
        eq(hosts.id, hostId),
        isNull(hosts.quarantinedAt),
        poll.instance && eq(hosts.instance, poll.instance.id),
      ),
    )
    .returning({ revokedAt: hosts.revokedAt });
  return host ? { revoked: host.revokedAt !== null } : null;
}
