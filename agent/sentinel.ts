import { createHash } from "node:crypto";
import { mkdir, readFile, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import type { RsyncLimits, RsyncOptions, Source } from "../protocol/rsync.ts";
import { writeFileAtomically } from "./files.ts";
import { connectionArgs, connectionOf, operandOf } from "./rsync/connection.ts";
import { type RsyncCtx, type RsyncExit, runRsync } from "./rsync/spawn.ts";

/** A source's sentinel: what its small file said, and when that was written (milliseconds). */
const sentinelSchema = z.object({ digest: z.string(), mtimeMs: z.number() });
export type Sentinel = z.infer<typeof sentinelSchema>;

/** What is remembered of the last whole scan: the sentinel from before it, and when it began (milliseconds). */
const rememberedSchema = sentinelSchema.extend({ scannedAt: z.number() });
export type Remembered = z.infer<typeof rememberedSchema>;

/** Bytes that a sentinel may have. */
const maxBytes = 1024 * 1024;

const directoryOf = (stateDir: string) => join(stateDir, "sentinels");

/** A name for what a sentinel speaks of: another filter or place means another tree. */
export const sentinelKey = (facts: unknown) =>
  createHash("sha256").update(JSON.stringify(facts)).digest("hex");

/** What is remembered under a key; null for nothing, or for what cannot be read. */
export async function recallSentinel({
  stateDir,
  key,
}: {
  stateDir: string;
  key: string;
}): Promise<Remembered | null> {
  const text = await readFile(join(directoryOf(stateDir), key), "utf8").catch(() => "null");
  try {
    return rememberedSchema.nullable().parse(JSON.parse(text));
  } catch {
    // Half-written by a crash of the disk: a scan remembers it anew.
    return null;
  }
}

/** Remembers a whole scan. */
export async function rememberSentinel({
  stateDir,
  key,
  remembered,
}: {
  stateDir: string;
  key: string;
  remembered: Remembered;
}): Promise<void> {
  await writeFileAtomically({
    path: join(directoryOf(stateDir), key),
    text: JSON.stringify(remembered),
    mode: 0o600,
  });
}

/** Fetches a source's sentinel; null where it has none. */
export async function fetchSentinel(
  ctx: RsyncCtx,
  {
    source,
    path,
    password,
    limits,
    options,
    signal,
  }: {
    source: Source;
    path: string;
    password: string | null;
    limits: RsyncLimits;
    options: RsyncOptions;
    signal: AbortSignal;
  },
): Promise<{ exit: RsyncExit; sentinel: Sentinel | null }> {
  await mkdir(directoryOf(ctx.stateDir), { recursive: true, mode: 0o700 });
  const connection = connectionOf({ source, options });
  const whole = source.path === null ? path : `${source.path}/${path}`;
  const url = operandOf({ ...source, path: whole }).slice(0, -1);
  const target = join(directoryOf(ctx.stateDir), `${sentinelKey([url, process.pid])}.fetched`);
  try {
    const exit = await runRsync(ctx, {
      ...limits,
      connection,
      argv: [
        ...connectionArgs(connection),
        "--times",
        "--copy-links",
        `--max-size=${maxBytes}`,
        `--timeout=${limits.stallSeconds}`,
        "--contimeout=60",
        "--",
        url,
        target,
      ],
      password,
      signal,
      onLine: () => {},
      onProgress: () => {},
    });
    if (exit.exitCode !== 0) return { exit, sentinel: null };
    const digest = createHash("sha256")
      .update(await readFile(target))
      .digest("hex");
    return { exit, sentinel: { digest, mtimeMs: (await stat(target)).mtimeMs } };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    // Larger than a sentinel may be: rsync left it out.
    return { exit: { ...noExit }, sentinel: null };
  } finally {
    await rm(target, { force: true });
  }
}

const noExit: RsyncExit = {
  exitCode: 0,
  ended: "exited",
  changes: 0,
  stats: null,
  stderr: "",
  skippedDeletions: 0,
  deletions: 0,
  deletedPaths: [],
  deletedIn: new Map(),
};

/** What a sentinel means for a pull; pure. `now` and `scannedAt` in milliseconds. */
export function judgeSentinel({
  sentinel,
  remembered,
  scanEverySeconds,
  now,
}: {
  sentinel: Sentinel;
  remembered: Remembered | null;
  scanEverySeconds: number;
  now: number;
}): "scan" | "unchanged" | "older" {
  if (!remembered) return "scan";
  if (sentinel.mtimeMs < remembered.mtimeMs) return "older";
  const same = sentinel.digest === remembered.digest && sentinel.mtimeMs === remembered.mtimeMs;
  const age = now - remembered.scannedAt;
  // A clock that went back makes an age below zero: then nobody knows, and a scan does.
  return same && age >= 0 && age < scanEverySeconds * 1000 ? "unchanged" : "scan";
}
