import { StringDecoder } from "node:string_decoder";
import { execa } from "execa";
import type { Progress, SyncStats } from "../../protocol/report.ts";
import { type Connection, openConnection } from "./connection.ts";
import { parseChange, readable } from "./itemize.ts";
import { startedBy } from "./leftovers.ts";
import { openPipe, restFromReading } from "./pipe.ts";
import { endGroup, groupLives } from "./process-group.ts";
import { parseProgress } from "./progress.ts";
import { collectStat, completeStats } from "./stats.ts";
import { tlsFault } from "./tls-proxy.ts";

/** Characters of stderr that are kept: the end says what went wrong. */
export const keptStderr = 65_536;
/** Deleted paths that are kept by name. */
const keptPaths = 5;

export type RsyncExit = {
  /** Null: one of its processes was killed. Then it has not told all that it did, and may have left half a file. */
  exitCode: number | null;
  ended: "exited" | "timeout" | "stalled" | "interrupted";
  /** Paths created, changed or deleted. */
  changes: number;
  stats: SyncStats | null;
  stderr: string;
  /** Deletions that `--max-delete` left undone; directories that held files are not among them. */
  skippedDeletions: number;
  /** Deletions that were made or, in a dry run, would be: their number, and the first few paths. */
  deletions: number;
  deletedPaths: string[];
  /** Deletions by the first two directories of their paths. */
  deletedIn: Map<string, number>;
};

/** What each rsync of an agent needs to know of it. */
export type RsyncCtx = {
  rsync: string;
  stateDir: string;
  /** Command and arguments that start rsync with another priority; none: as the agent's. */
  wrapper: string[];
  /** Descriptor that holds the destination: rsync inherits it, and with it the hold. */
  holding?: number;
  /** Called when a process of an rsync was killed. */
  onKilled?: () => void;
};

export type RunInput = {
  argv: string[];
  connection: Connection;
  password: string | null;
  wallClockSeconds: number;
  stallSeconds: number;
  signal: AbortSignal;
  /** It may write very many lines: worth the 10 ms that a pipe of its own takes. */
  manyLines?: boolean;
  onLine: (line: string) => void;
  /** Each change as `parseChange` reads it. */
  onChange?: ((line: string) => void) | undefined;
  /** Called at its end when it may have done more than it told. */
  onUntold?: (() => void) | undefined;
  onProgress: (progress: Progress) => void;
};

/** Splits a stream into lines at \n and \r; bytes that are not UTF-8 become U+FFFD. A line has at most 64 KiB. */
function lineSplitter(onLine: (line: string) => void) {
  const decoder = new StringDecoder("utf8");
  let rest = "";
  return {
    write: (chunk: Buffer) => {
      const lines = (rest + decoder.write(chunk)).split(/[\n\r]/);
      rest = lines.pop()!.slice(-65_536);
      for (const line of lines) if (line !== "") onLine(line);
    },
    end: () => {
      if (rest !== "") onLine(rest);
    },
  };
}

/** Exit codes of an rsync whose processes all came to their end. */
const endedCodes = new Set([0, 23, 24, 25]);

/** Pure. A receiver that ends by itself says so; one that was killed leaves it to its generator to say that something is wrong. */
const receiverWasKilled = ({ exitCode, stderr }: Pick<RsyncExit, "exitCode" | "stderr">) =>
  !endedCodes.has(exitCode ?? 0) &&
  stderr.includes("[generator=") &&
  !stderr.includes("[receiver=");

/** What rsync calls itself in errors before it has the list of files, and from then on. */
const beforeTheList = /^rsync error: .* \[(?:client|Receiver)=/m;
const withTheList = /\[(?:generator|receiver)[=\]]/;

/**
 * Pure. Directories, links and modes are its generator's work, often long before a file's data: it tells of them when the
 * sender has confirmed them. Where the connection breaks before, nobody is told.
 */
const hasTold = ({ exitCode, stderr }: Pick<RsyncExit, "exitCode" | "stderr">) =>
  exitCode !== null &&
  (endedCodes.has(exitCode) || (beforeTheList.test(stderr) && !withTheList.test(stderr)));

/** Runs one rsync in a process group of its own, and leaves none of its processes behind. */
export async function runRsync(ctx: RsyncCtx, input: RunInput): Promise<RsyncExit> {
  const exit: RsyncExit = {
    exitCode: null,
    ended: "exited",
    changes: 0,
    stats: null,
    stderr: "",
    skippedDeletions: 0,
    deletions: 0,
    deletedPaths: [],
    deletedIn: new Map(),
  };
  const stats: Partial<SyncStats> = {};
  const take = (line: string) => {
    const change = parseChange(line);
    if (change === null) {
      const progress = parseProgress(line);
      if (progress) return input.onProgress(progress);
      const skipped = /--max-delete limit \((\d+) skipped\)/.exec(line);
      if (skipped) exit.skippedDeletions = Number(skipped[1]);
      collectStat(stats, line);
      input.onLine(line);
      return;
    }
    exit.changes += 1;
    if (change.kind === "deleted") {
      exit.deletions += 1;
      const directory = change.path.split("/").slice(0, -1).slice(0, 2).join("/") || ".";
      exit.deletedIn.set(directory, (exit.deletedIn.get(directory) ?? 0) + 1);
      if (exit.deletedPaths.length < keptPaths) exit.deletedPaths.push(change.path);
    }
    input.onChange?.(line);
    input.onLine(readable(line));
  };
  const takeError = (line: string) => {
    exit.stderr = `${exit.stderr}${line}\n`.slice(-keptStderr);
    take(line);
  };
  const way = await openConnection(input.connection, { onFault: takeError });
  const pipe = input.manyLines ? await openPipe() : null;
  if (input.signal.aborted) {
    way.close();
    pipe?.letGo();
    pipe?.reader.destroy();
    return { ...exit, ended: "interrupted" };
  }
  // Its own environment: nothing of the agent's secrets, and no RSYNC_* variable that changes options.
  const env = {
    PATH: process.env["PATH"] ?? "/usr/bin:/bin",
    LC_ALL: "C",
    ...startedBy(ctx.stateDir),
    ...way.env,
    ...(input.password !== null && { RSYNC_PASSWORD: input.password }),
  };
  const [command, ...before] = [...ctx.wrapper, ctx.rsync];
  const child = execa(command, [...before, ...input.argv], {
    env,
    extendEnv: false,
    detached: true,
    buffer: false,
    reject: false,
    // execa takes any descriptor here; its types know those up to 9.
    stdio: [
      "ignore",
      (pipe?.writer as 9 | undefined) ?? "pipe",
      "pipe",
      ...(ctx.holding === undefined ? [] : [ctx.holding as 9]),
    ],
    encoding: "buffer",
    cleanup: true,
  });
  pipe?.letGo();
  const output = pipe?.reader ?? child.stdout!;
  let ending: Promise<boolean> | undefined;
  const end = (why: RsyncExit["ended"]) => {
    if (ending || child.pid === undefined) return;
    exit.ended = why;
    ending = endGroup(child.pid);
  };
  let stall: NodeJS.Timeout;
  const alive = () => {
    clearTimeout(stall);
    stall = setTimeout(() => end("stalled"), input.stallSeconds * 1000);
  };
  const wallClock = setTimeout(() => end("timeout"), input.wallClockSeconds * 1000);
  const interrupt = () => end("interrupted");
  input.signal.addEventListener("abort", interrupt);
  alive();
  const stdout = lineSplitter(take);
  const stderr = lineSplitter(takeError);
  output.on("data", (chunk: Buffer) => {
    alive();
    restFromReading(output, { pipe: pipe !== null, bytes: chunk.length });
    stdout.write(chunk);
  });
  child.stderr.on("data", stderr.write);
  const result = await child;
  const heard = (await pipe?.ended) ?? true;
  way.close();
  stdout.end();
  stderr.end();
  clearTimeout(stall!);
  clearTimeout(wallClock);
  input.signal.removeEventListener("abort", interrupt);
  let killed = (await ending) ?? false;
  // rsync is two processes: the second must not outlive the first.
  if (child.pid !== undefined && (await groupLives(child.pid)))
    killed = (await endGroup(child.pid)) || killed;
  const missing = (result.cause as NodeJS.ErrnoException | undefined)?.code;
  exit.exitCode =
    missing === "ENOENT" ? 127 : missing === "EACCES" ? 126 : (result.exitCode ?? null);
  // rsync takes a connection that never was for one that broke off.
  if (exit.stderr.includes(tlsFault)) exit.exitCode = 10;
  if (killed || !heard || receiverWasKilled(exit)) exit.exitCode = null;
  if (exit.exitCode === null) ctx.onKilled?.();
  if (!hasTold(exit)) input.onUntold?.();
  exit.stats = completeStats(stats);
  return exit;
}
