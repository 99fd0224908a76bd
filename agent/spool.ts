import { randomUUID } from "node:crypto";
import { constants } from "node:fs";
import { mkdir, open, readdir, readFile, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { z } from "zod";
import { type Report, type Result, resultSchema } from "../protocol/report.ts";
import { syncDirectory, writeFileAtomically } from "./files.ts";
import { openLogTail } from "./log-tail.ts";
import { stateDirectory, troubleWith } from "./disk-trouble.ts";
import { isDiskError, openLog } from "./spool-log.ts";

/** Bytes that are kept of one attempt's log: of its beginning, and of its end. */
const headBytes = 3 * 1024 * 1024;
const tailBytes = 1024 * 1024;

const ticketSchema = z.object({ taskId: z.uuid(), attempt: z.int(), taskToken: z.string() });
/** Whose log and result an entry holds, and the token that delivers them. */
export type Ticket = z.infer<typeof ticketSchema>;

const ticketFile = (directory: string) => join(directory, "ticket.json");
const logFile = (directory: string) => join(directory, "log");
const resultFile = (directory: string) => join(directory, "result.json");

/**
 * What one attempt leaves on disk until the control plane has it: ticket, log, result. What the disk
 * does not take (it is full, or read-only) is kept in memory, and delivered from there.
 */
export type SpoolEntry<Kept = Ticket> = {
  ticket: Kept;
  /** Appends a line to the log; beyond 3 MiB the last MiB of lines follows with `finish`. */
  write: (line: string) => void;
  /** Writes buffered lines to disk; answers the log's length in bytes. */
  flush: () => Promise<number>;
  readLog: (input: { offset: number; bytes: number }) => Promise<Buffer<ArrayBuffer>>;
  /** Stores the result, durably: from here on it is delivered, whatever happens. */
  finish: (result: Report) => Promise<Result>;
  result: () => Promise<Result | null>;
  /** Lets go of the files; they stay. */
  close: () => Promise<void>;
  remove: () => Promise<void>;
};

/** Why the disk did not take all of an entry, and what to do. */
const noteOf = (trouble: Error, { stateDir }: { stateDir: string }): string =>
  troubleWith({ name: stateDirectory, path: stateDir }, trouble) ??
  `${stateDirectory} ${stateDir} cannot be written: ${trouble.message}`;

/** Opens an entry whose ticket is in `directory`; null: all of it stays in memory, because of `fault`. */
async function openEntry<Kept>({
  directory,
  stateDir,
  ticket,
  fault = null,
}: {
  directory: string | null;
  stateDir: string;
  ticket: Kept;
  fault?: Error | null;
}): Promise<SpoolEntry<Kept>> {
  const handle =
    directory === null
      ? null
      : await open(logFile(directory), constants.O_RDWR | constants.O_CREAT, 0o600);
  const log = openLog({ handle, size: handle ? (await handle.stat()).size : 0 });
  let lines: string[] = [];
  let waiting = 0;
  const tail = openLogTail({ keepBytes: tailBytes });
  let inMemory: Result | null = null;
  const push = (line: string) => {
    lines.push(`${line}\n`);
    waiting += Buffer.byteLength(line) + 1;
  };
  const flush = () => {
    if (lines.length > 0) log.push(lines.join(""));
    lines = [];
    waiting = 0;
    return log.flush();
  };
  const store = async (result: Result) => {
    if (directory === null) return fault;
    try {
      await handle!.sync();
      await writeFileAtomically({
        path: resultFile(directory),
        text: JSON.stringify(result),
        mode: 0o600,
      });
      return log.fault();
    } catch (error) {
      if (!isDiskError(error)) throw error;
      return error;
    }
  };
  return {
    ticket,
    write: (line) => {
      if (!tail.isEmpty() || log.size() + waiting > headBytes) tail.push(line);
      else push(line);
    },
    flush,
    readLog: log.read,
    finish: async (result) => {
      for (const line of tail.take()) push(line);
      const whole = { ...result, logBytes: await flush() };
      const trouble = await store(whole);
      inMemory = whole;
      if (trouble) {
        // Where it was what ended the work, that is said already.
        const said = new Set([result.message, noteOf(trouble, { stateDir })]);
        inMemory.message = [...said].filter(Boolean).join("; ").slice(0, 4000);
      }
      return inMemory;
    },
    result: async () => {
      if (inMemory !== null || directory === null) return inMemory;
      const text = await readFile(resultFile(directory), "utf8").catch(
        (error: NodeJS.ErrnoException) => {
          if (error.code !== "ENOENT") throw error;
          return null;
        },
      );
      return text === null ? null : resultSchema.parse(JSON.parse(text));
    },
    close: async () => handle?.close(),
    remove: async () => {
      await handle?.close();
      if (directory !== null) await rm(directory, { recursive: true, force: true });
    },
  };
}

/** Makes the directory of an entry with its ticket, durably. */
async function makeDirectory({ directory, ticket }: { directory: string; ticket: unknown }) {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  await writeFileAtomically({
    path: ticketFile(directory),
    text: JSON.stringify(ticket),
    mode: 0o600,
  });
  await syncDirectory(dirname(directory));
}

/** Makes an entry of which at least the ticket is on disk. @throws where the disk does not take it. */
export async function newEntry<Kept>({
  directory,
  stateDir,
  ticket,
}: {
  directory: string;
  stateDir: string;
  ticket: Kept;
}): Promise<SpoolEntry<Kept>> {
  await makeDirectory({ directory, ticket });
  return openEntry({ directory, stateDir, ticket });
}

/** Makes the spool entry of a new attempt; in memory where the disk takes nothing. */
export async function newSpoolEntry({
  stateDir,
  ticket,
}: {
  stateDir: string;
  ticket: Ticket;
}): Promise<SpoolEntry> {
  // After a restore of the control plane an attempt's number may come again before the first is delivered.
  const name = `${ticket.taskId}.${ticket.attempt}.${randomUUID().slice(0, 8)}`;
  const directory = join(stateDir, "spool", name);
  try {
    return await newEntry({ directory, stateDir, ticket });
  } catch (error) {
    if (!isDiskError(error)) throw error;
    // Half an entry must not be taken for a whole one by the next start.
    await rm(directory, { recursive: true, force: true });
    return openEntry({ directory: null, stateDir, ticket, fault: error });
  }
}

/** Opens the entry in a directory. One without a ticket never began: null, and it is removed. @throws where it is damaged. */
export async function openLeftEntry<Schema extends z.ZodType>({
  directory,
  stateDir,
  schema,
}: {
  directory: string;
  stateDir: string;
  schema: Schema;
}): Promise<SpoolEntry<z.output<Schema>> | null> {
  const text = await readFile(ticketFile(directory), "utf8").catch(
    (error: NodeJS.ErrnoException) => {
      if (error.code !== "ENOENT") throw error;
      return null;
    },
  );
  if (text === null) {
    await rm(directory, { recursive: true });
    return null;
  }
  const entry = await openEntry({ directory, stateDir, ticket: schema.parse(JSON.parse(text)) });
  // Read now: what cannot be is to be found here.
  await entry.result();
  return entry;
}

/** Puts an entry aside that cannot be read: the disk was damaged. It must not keep the agent from its work. */
export async function putAside({
  stateDir,
  directory,
}: {
  stateDir: string;
  directory: string;
}): Promise<string> {
  const aside = join(stateDir, "damaged", `${Date.now()}-${directory.split("/").at(-1)}`);
  await mkdir(dirname(aside), { recursive: true, mode: 0o700 });
  await rename(directory, aside);
  return aside;
}

/** Entries that an earlier process of this agent left. */
export async function leftSpoolEntries({
  stateDir,
  log,
}: {
  stateDir: string;
  log: (message: string) => void;
}): Promise<SpoolEntry[]> {
  const root = join(stateDir, "spool");
  await mkdir(root, { recursive: true, mode: 0o700 });
  const entries: SpoolEntry[] = [];
  for (const name of await readdir(root)) {
    const directory = join(root, name);
    try {
      const entry = await openLeftEntry({ directory, stateDir, schema: ticketSchema });
      if (entry) entries.push(entry);
    } catch (error) {
      const aside = await putAside({ stateDir, directory });
      log(
        `a spooled result is damaged, and was put aside as ${aside}: ${(error as Error).message}`,
      );
    }
  }
  return entries;
}
