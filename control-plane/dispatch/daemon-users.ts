import { createHash } from "node:crypto";
import { and, arrayContains, asc, isNotNull, isNull } from "drizzle-orm";
import type { DaemonUsers } from "../../protocol/fleet.ts";
import type { HostRow } from "../auth/agent-requests.ts";
import { seal } from "../auth/task-tokens.ts";
import type { Ctx } from "../context.ts";
import { hosts } from "../db/schema/hosts.ts";

/** Password of one host at a master's rsync daemon; a host that enrols again gets another. */
export function daemonPasswordOf(
  { secrets }: Pick<Ctx, "secrets">,
  { host }: { host: HostRow },
): string {
  return secrets.daemonPassword({ hostId: host.id, keyThumbprint: host.signingKey!.x });
}

async function pullingHosts(ctx: Ctx): Promise<HostRow[]> {
  return ctx.db
    .select()
    .from(hosts)
    .where(
      and(
        arrayContains(hosts.roles, ["ftp"]),
        isNotNull(hosts.signingKey),
        isNull(hosts.revokedAt),
      ),
    )
    .orderBy(asc(hosts.name));
}

function versionOf({ users, serves }: { users: HostRow[]; serves: number | null }): string {
  const text = JSON.stringify([
    serves,
    ...users.map(({ id, addresses, signingKey }) => [id, addresses, signingKey!.x]),
  ]);
  return createHash("sha256").update(text).digest("base64url");
}

/** Version of the list that the master `host` keeps; changes when a host enrols or is revoked. */
export async function daemonUsersVersion(ctx: Ctx, { host }: { host: HostRow }): Promise<string> {
  return versionOf({ users: await pullingHosts(ctx), serves: host.serves });
}

/** Who may pull from the master `host`, each password sealed to it. */
export async function daemonUsers(ctx: Ctx, { host }: { host: HostRow }): Promise<DaemonUsers> {
  const users = await pullingHosts(ctx);
  return {
    version: versionOf({ users, serves: host.serves }),
    serves: host.serves,
    users: await Promise.all(
      users.map(async (user) => ({
        name: user.name,
        addresses: user.addresses,
        sealedPassword: await seal({
          secret: daemonPasswordOf(ctx, { host: user }),
          key: host.sealingKey!,
        }),
      })),
    ),
  };
}
