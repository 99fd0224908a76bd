import { randomUUID } from "node:crypto";
import { constants } from "node:fs";
import { lstat, open, rename, unlink } from "node:fs/promises";
import { posix } from "node:path";
import type { SyncSpec } from "../protocol/order.ts";
import type { Report } from "../protocol/report.ts";
import type { Source } from "../protocol/rsync.ts";
import type { AgentCtx } from "./context.ts";
import { resolveDestination } from "./destination.ts";
import { type Directory, entryIn, noteTimes, openBelow } from "./open-below.ts";
import { debianTrace, isBy, serialOf, timestamp } from "./trace-text.ts";

const usualTimestamp = ".lastsync";
/** More than any trace file has. */
const maxBytes = 16_384;

/** This host's own file in a project's tree; null where it keeps none. */
export function traceFileOf(
  { trace }: Pick<SyncSpec, "trace">,
  { host }: { host: string },
): string | null {
  if (!trace) return null;
  return trace.style === "debian" ? `project/trace/${host}` : (trace.path ?? usualTimestamp);
}

/** What a file in an open directory begins with; null where there is none, "" for what is no plain file. */
async function peek(directory: Directory, name: string): Promise<string | null> {
  const path = entryIn(directory, name);
  const found = await lstat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "ENOENT") throw error;
    return null;
  });
  if (!found?.isFile()) return found ? "" : null;
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    const { buffer, bytesRead } = await file.read({ buffer: Buffer.alloc(maxBytes) });
    return buffer.toString("latin1", 0, bytesRead);
  } finally {
    await file.close();
  }
}

/** Now, or what rsync takes for later than the file that is there: two of one size and second are the same to it. */
async function timeAfter(path: Buffer): Promise<number> {
  const now = Date.now() / 1000;
  const last = await lstat(path).catch(() => null);
  return last ? Math.max(now, Math.floor(last.mtimeMs / 1000) + 1) : now;
}

async function putFile(
  directory: Directory,
  { name, text }: { name: string; text: string },
): Promise<void> {
  const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW } = constants;
  const restoreTimes = noteTimes(directory);
  const [target, temporary] = [entryIn(directory, name), entryIn(directory, `.${randomUUID()}`)];
  const at = await timeAfter(target);
  const file = await open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o644);
  try {
    try {
      await file.chmod(0o644);
      await file.writeFile(text);
      await file.utimes(at, at);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, target);
  } catch (error) {
    await unlink(temporary).catch(() => undefined);
    throw error;
  } finally {
    restoreTimes();
  }
}

type Input = {
  root: string;
  sync: SyncSpec;
  startedAt: Date;
  sources: Source[];
  report: Report;
  /** Of a Debian trace file: it is only to be there. */
  ifMissing: boolean;
};
/** `trouble`: why there is none, or "". */
type Left = { written: boolean; trouble: string };

async function leaveIn(
  { identity: { hostId, host } }: AgentCtx,
  directory: Directory,
  { path, sync, ifMissing, ...input }: Input & { path: string },
): Promise<Left> {
  const name = posix.basename(path);
  const endedAt = new Date();
  let text = timestamp(endedAt);
  if (sync.trace?.style === "debian") {
    const before = await peek(directory, name);
    if (before !== null && ifMissing) return { written: false, trouble: "" };
    if (before !== null && !isBy(before, { hostId }))
      return { written: false, trouble: `no trace file: ${path} is the source's own` };
    const serial = serialOf((await peek(directory, "master")) ?? "");
    text = debianTrace({ ...input, endedAt, host, hostId, serial });
  }
  await putFile(directory, { name, text });
  return { written: true, trouble: "" };
}

/**
 * Leaves the trace file that an order asks for, after all of its rsyncs: at once, and through no symlink.
 * A sync does not fail by it.
 */
export async function leaveTrace(ctx: AgentCtx, input: Input): Promise<Left> {
  const { root, sync } = input;
  const path = traceFileOf(sync, ctx.identity);
  if (path === null) return { written: false, trouble: "" };
  const without = (why: string) => ({ written: false, trouble: `no trace file: ${why}` });
  try {
    const top = await resolveDestination({ mirrorRoot: root, destination: sync.path });
    const below = openBelow({ root: top });
    try {
      const parent = posix.dirname(path);
      const directory = below.directory(parent === "." ? "" : parent);
      if (typeof directory !== "string") return await leaveIn(ctx, directory, { ...input, path });
      return without(`the tree has no directory ${parent}`);
    } finally {
      below.close();
    }
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    return without(`${path} cannot be written (${code ?? message})`);
  }
}
