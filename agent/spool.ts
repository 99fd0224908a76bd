import { randomUUID } from "node:crypto";
import { mkdir, open, readdir, readFile, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { type Report, type Result, resultSchema } from "../protocol/report.ts";
import { writeFileAtomically } from "./files.ts";

/** Bytes of log that are kept of one attempt. */
const maxLogBytes = 4 * 1024 * 1024;

const ticketSchema = z.object({ taskId: z.uuid(), attempt: z.int(), taskToken: z.string() });
export type Ticket = z.infer<typeof ticketSchema>;

const ticketFile = (directory: string) => join(directory, "ticket.json");
const logFile = (directory: string) => join(directory, "log");
const resultFile = (directory: string) => join(directory, "result.json");

/** What one attempt leaves on disk until the control plane has it: task token, log, result. */
export type SpoolEntry = {
  directory: string;
  ticket: Ticket;
  /** Appends a line to the log; beyond 4 MiB lines are counted only. */
  write: (line: string) => void;
  /** Writes buffered lines to disk; answers the log's length in bytes. */
  flush: () => Promise<number>;
  readLog: (input: { offset: number; bytes: number }) => Promise<Buffer<ArrayBuffer>>;
  /** Stores the result, durably: from here on it is delivered, whatever happens. */
  finish: (result: Report) => Promise<Result>;
  result: () => Promise<Result | null>;
  remove: () => Promise<void>;
};

async function openEntry({
  directory,
  ticket,
}: {
  directory: string;
  ticket: Ticket;
}): Promise<SpoolEntry> {
  const handle = await open(logFile(directory), "a", 0o600);
  let { size } = await stat(logFile(directory));
  let lines: string[] = [];
  let dropped = 0;
  let writing: Promise<unknown> = Promise.resolve();
  const flush = async () => {
    const text = lines.join("");
    lines = [];
    if (text !== "") writing = writing.then(() => handle.appendFile(text));
    await writing;
    return size;
  };
  const push = (line: string) => {
    lines.push(`${line}\n`);
    size += Buffer.byteLength(line) + 1;
  };
  return {
    directory,
    ticket,
    write: (line) => {
      if (size > maxLogBytes) dropped += 1;
      else push(line);
    },
    flush,
    readLog: async ({ offset, bytes }) => {
      const file = await open(logFile(directory), "r");
      try {
        const { buffer, bytesRead } = await file.read(Buffer.alloc(bytes), 0, bytes, offset);
        return buffer.subarray(0, bytesRead);
      } finally {
        await file.close();
      }
    },
    finish: async (result) => {
      if (dropped > 0) push(`… ${dropped} more lines not kept`);
      await flush();
      await handle.sync();
      const whole = { ...result, logBytes: size };
      await writeFileAtomically({
        path: resultFile(directory),
        text: JSON.stringify(whole),
        mode: 0o600,
      });
      return whole;
    },
    result: async () => {
      const text = await readFile(resultFile(directory), "utf8").catch(
        (error: NodeJS.ErrnoException) => {
          if (error.code !== "ENOENT") throw error;
          return null;
        },
      );
      return text === null ? null : resultSchema.parse(JSON.parse(text));
    },
    remove: async () => {
      await handle.close();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** Makes the spool entry of a new attempt. */
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
  await mkdir(directory, { recursive: true, mode: 0o700 });
  await writeFileAtomically({
    path: ticketFile(directory),
    text: JSON.stringify(ticket),
    mode: 0o600,
  });
  return openEntry({ directory, ticket });
}

/** Entries that an earlier process of this agent left; one without a ticket never began. */
export async function leftSpoolEntries({ stateDir }: { stateDir: string }): Promise<SpoolEntry[]> {
  const root = join(stateDir, "spool");
  await mkdir(root, { recursive: true, mode: 0o700 });
  const entries: SpoolEntry[] = [];
  for (const name of await readdir(root)) {
    const directory = join(root, name);
    try {
      const ticket = ticketSchema.parse(JSON.parse(await readFile(ticketFile(directory), "utf8")));
      entries.push(await openEntry({ directory, ticket }));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
      await rm(directory, { recursive: true });
    }
  }
  return entries;
}
