import { arrayContains, asc, eq, sql } from "drizzle-orm";
import { AppError } from "../../../protocol/errors.ts";
import type { Host, Poll, Role } from "../../../protocol/fleet.ts";
import type { Database, Transaction } from "../connect.ts";
import { hosts } from "../schema.ts";

type HostRow = typeof hosts.$inferSelect;

/** A host as operators see it. */
export function hostView(host: HostRow): Host {
  return {
    id: host.id,
    name: host.name,
    roles: host.roles,
    addresses: host.addresses,
    state: host.revokedAt ? "revoked" : host.signingKey ? "enrolled" : "invited",
    agentVersion: host.agentVersion,
    lastSeenAt: host.lastSeenAt?.toISOString() ?? null,
    createdAt: host.createdAt.toISOString(),
  };
}

/** Inserts a host that has yet to enrol. @throws AppError `conflict`. */
export async function insertHost(
  tx: Transaction,
  values: { name: string; roles: Role[]; addresses: string[] },
): Promise<HostRow> {
  const [host] = await tx.insert(hosts).values(values).onConflictDoNothing().returning();
  if (!host) {
    throw new AppError(
      "conflict",
      `there is a host "${values.name}" already: POST /v1/hosts/${values.name}/enrolment-tokens invites it again`,
    );
  }
  return host;
}

/** All hosts by name. */
export async function readHosts({ db }: { db: Database }): Promise<Host[]> {
  return (await db.select().from(hosts).orderBy(asc(hosts.name))).map(hostView);
}

/** One host's row. @throws AppError `not-found`. */
export async function readHostRow(
  db: Database | Transaction,
  { name }: { name: string },
): Promise<HostRow> {
  const [host] = await db.select().from(hosts).where(eq(hosts.name, name));
  if (!host) throw new AppError("not-found", "there is no such host");
  return host;
}

/** Ends an agent's authority; its host can be invited again. @throws AppError `not-found`. */
export async function revokeHost(tx: Transaction, { name }: { name: string }): Promise<HostRow> {
  const [host] = await tx
    .update(hosts)
    .set({ revokedAt: sql`now()` })
    .where(eq(hosts.name, name))
    .returning();
  if (!host) throw new AppError("not-found", "there is no such host");
  return host;
}

/** Ids of the hosts with role master. */
export async function masterIds(tx: Transaction): Promise<string[]> {
  return (
    await tx
      .select({ id: hosts.id })
      .from(hosts)
      .where(arrayContains(hosts.roles, ["master"]))
  ).map(({ id }) => id);
}

/** Notes that a host's agent polled, and what it says of itself. */
export async function noteSeen(
  { db }: { db: Database },
  { hostId, poll }: { hostId: string; poll: Poll },
): Promise<void> {
  await db
    .update(hosts)
    .set({
      lastSeenAt: sql`now()`,
      agentVersion: poll.agentVersion,
      ...(poll.daemon && { daemonPort: poll.daemon.port, daemonModule: poll.daemon.module }),
    })
    .where(eq(hosts.id, hostId));
}
