import { mkdir, readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { daemonUsersSchema, type DaemonUsers, type Root } from "../protocol/fleet.ts";
import type { AgentCtx } from "./context.ts";
import { writeFileAtomically } from "./files.ts";
import { signedRequest } from "./request.ts";
import type { DaemonUser } from "./rsync/daemon-config.ts";
import { openSealed } from "./sealed.ts";
import { isDiskError } from "./spool-log.ts";

export type RunningDaemon = {
  port: number;
  /** Of the key that it shows; null: it is for plain rsync. */
  keySha256: string | null;
  roots: Root[];
  update: (admitted: { users: DaemonUser[]; serves: number | null }) => Promise<void>;
  /** Version of the users that it admits; null: nobody yet. */
  version: string | null;
};

const fileOf = (stateDir: string) => join(stateDir, "standing", "daemon-users.json");

async function admit(
  ctx: AgentCtx,
  { daemon, admitted: { users, serves } }: { daemon: RunningDaemon; admitted: DaemonUsers },
): Promise<void> {
  await daemon.update({
    serves,
    users: await Promise.all(
      users.map(async ({ name, addresses, sealedPassword }) => ({
        name,
        addresses,
        password: await openSealed(ctx, { sealed: sealedPassword }),
      })),
    ),
  });
  ctx.log(
    `the rsync daemon admits ${users.length === 0 ? "nobody" : users.map(({ name }) => name).join(", ")}`,
  );
}

/** Asks who may pull from this master's daemon, and admits them; remembers it, with passwords sealed. */
export async function fetchDaemonUsers(
  ctx: AgentCtx,
  { daemon }: { daemon: RunningDaemon },
): Promise<void> {
  const fetched = await signedRequest(ctx, {
    method: "GET",
    path: "/v1/agent/daemon-users",
    schema: daemonUsersSchema,
    timeoutSeconds: 30,
  });
  await admit(ctx, { daemon, admitted: fetched });
  daemon.version = fetched.version;
  const path = fileOf(ctx.config.stateDir);
  try {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    await writeFileAtomically({ path, text: JSON.stringify(fetched), mode: 0o600 });
  } catch (error) {
    if (!isDiskError(error)) throw error;
    ctx.log(`${path} cannot be written: ${error.message}`);
  }
}

/**
 * Admits those who were admitted last, where the control plane has said nothing since this agent began:
 * hosts that follow their standing orders pull from here.
 */
export async function admitRemembered(
  ctx: AgentCtx,
  { daemon }: { daemon: RunningDaemon },
): Promise<void> {
  if (daemon.version !== null) return;
  const text = await readFile(fileOf(ctx.config.stateDir), "utf8").catch(
    (error: NodeJS.ErrnoException) => {
      if (error.code !== "ENOENT") throw error;
      return null;
    },
  );
  if (text === null) return;
  await admit(ctx, { daemon, admitted: daemonUsersSchema.parse(JSON.parse(text)) });
}
