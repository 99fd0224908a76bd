import { closeSync, constants, openSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { finished } from "node:stream/promises";
import { execa } from "execa";

/** Milliseconds between two readings: longer, and rsync waits because what it writes to is full. */
const longRest = 10;
const shortRest = 1;
/** Bytes after which the rest is short: half of what a pipe holds. */
const half = 32 * 1024;

export type Pipe = {
  reader: Readable;
  /** Descriptor that a process inherits; `letGo` closes it here, or the reader never ends. */
  writer: number;
  letGo: () => void;
  /** When no more can be read; false: not all that was written was. */
  ended: Promise<boolean>;
};

/**
 * Opens a pipe of the kernel, in which 64 KiB of lines wait, however short they are; null where none can be made.
 * Node gives to its children a pair of sockets, which is full after some 250 lines, and each of them costs more:
 * a first sync of 100,000 small files took 5.8 s with those, 4.7 s with a pipe, and 4.6 s with rsync alone.
 */
export async function openPipe(): Promise<Pipe | null> {
  const directory = await mkdtemp(join(tmpdir(), "mirrorfleet-agent-")).catch(() => null);
  if (directory === null) return null;
  const path = join(directory, "pipe");
  let reading: number | null = null;
  try {
    const made = await execa("mkfifo", ["-m", "600", path], { reject: false, stdio: "ignore" });
    if (made.failed) return null;
    reading = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const writer = openSync(path, constants.O_WRONLY);
    const reader = new Socket({ fd: reading, readable: true, writable: false });
    const ended = finished(reader, { writable: false }).then(
      () => true,
      () => false,
    );
    return { reader, writer, letGo: () => closeSync(writer), ended };
  } catch {
    // Too many are open: whatever else needs one says so.
    if (reading !== null) closeSync(reading);
    return null;
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/**
 * Leaves a stream alone for a moment from which so many bytes have just been read. rsync writes each line by
 * itself: it takes a quarter longer where its reader is woken for each. Node has no public way to do so.
 */
export function restFromReading(
  stream: Readable,
  { pipe, bytes }: { pipe: boolean; bytes: number },
): void {
  const handle = () =>
    (stream as unknown as { _handle: { readStop: () => void; readStart: () => void } | null })
      ._handle;
  handle()?.readStop();
  setTimeout(() => handle()?.readStart(), pipe && bytes < half ? longRest : shortRest);
}
