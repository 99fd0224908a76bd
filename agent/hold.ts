import { createHash } from "node:crypto";
import { readdir, readFile, readlink, stat } from "node:fs/promises";
import { createServer } from "node:net";
import { AppError } from "../protocol/errors.ts";

/** A name that is kept: children that get the file descriptor keep it too. */
export type Held = { fd: number; release: () => Promise<void> };

/** Of /proc/net/unix: a socket that listens. */
const listening = "00010000";

/** Processes that have a socket open, of those that this user may look into. */
async function holdersOf(inode: string): Promise<number[]> {
  const found: number[] = [];
  for (const pid of (await readdir("/proc")).filter((name) => /^\d+$/.test(name))) {
    // A process that has ended, or that is another user's, is none of ours.
    const descriptors = await readdir(`/proc/${pid}/fd`).catch(() => []);
    for (const fd of descriptors) {
      const link = await readlink(`/proc/${pid}/fd/${fd}`).catch(() => "");
      if (link === `socket:[${inode}]` && !found.includes(Number(pid))) found.push(Number(pid));
    }
  }
  return found;
}

/**
 * Whether an abstract name is taken by a process of another user, who keeps us from what it stands for: any user of
 * the machine can. Null: it is not known, as nobody has the name any more.
 */
async function isForeign(name: string): Promise<boolean | null> {
  const sockets = (await readFile("/proc/net/unix", "latin1")).split("\n");
  const socket = sockets
    .map((line) => line.trim().split(/\s+/))
    .find(([, , , flags, , , , path]) => flags === listening && path === `@${name}`);
  if (!socket) return null;
  for (const pid of await holdersOf(socket[6]!)) {
    const { uid } = await stat(`/proc/${pid}`).catch(() => ({ uid: null }));
    if (uid === 0 || uid === process.geteuid?.()) return false;
  }
  return true;
}

async function explain(name: string, { what, cause }: { what: string; cause: unknown }) {
  const message = (await isForeign(name))
    ? `a process of another user has taken the name that says whether ${what}: as root, "ss -xlp | grep ${name}" shows which, and it is to be ended`
    : what;
  return new AppError("conflict", message, { cause });
}

/**
 * Keeps a name on this host until released, or until the process and all children with its descriptor
 * are dead (an abstract Unix socket). @throws AppError `conflict` where another process has it: with `what`, or
 * with words about a process of another user that keeps it from us.
 */
export async function holdName({ name, what }: { name: string; what: string }): Promise<Held> {
  // Nobody has anything to say to it: who connects is not to cost us a descriptor.
  const server = createServer((socket) => socket.destroy());
  const address = `mirrorfleet-agent:${createHash("sha256").update(name).digest("hex")}`;
  const taken = Promise.withResolvers<void>();
  server.once("error", taken.reject).listen(`\0${address}`, taken.resolve);
  await taken.promise.catch(async (cause: NodeJS.ErrnoException) => {
    throw cause.code === "EADDRINUSE" ? await explain(address, { what, cause }) : cause;
  });
  server.unref();
  // Node has no public way to the descriptor of a listening socket.
  const { fd } = (server as unknown as { _handle: { fd: number } })._handle;
  return {
    fd,
    release: () =>
      new Promise<void>((resolve, reject) =>
        server.close((error) => (error ? reject(error) : resolve())),
      ),
  };
}

/**
 * One rsync at a time on a destination of this host: rsyncs get the descriptor, so that it is held as
 * long as one of them lives, though its agent was killed. @throws AppError `conflict`.
 */
export function holdDestination({ destination }: { destination: string }): Promise<Held> {
  return holdName({
    name: `destination ${destination}`,
    what: `another rsync is at work on ${destination}`,
  });
}
