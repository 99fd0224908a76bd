import type { FileHandle } from "node:fs/promises";

/** Is it the disk that refuses, and not a fault of the program? */
export const isDiskError = (error: unknown): error is NodeJS.ErrnoException =>
  error instanceof Error && typeof (error as NodeJS.ErrnoException).syscall === "string";

/** A log of which as much as possible is in a file; `null`: none of it can be. */
export function openLog({ handle, size: stored }: { handle: FileHandle | null; size: number }) {
  let onDisk = stored;
  let pending = Buffer.alloc(0);
  let fault: Error | null = null;
  let writing: Promise<unknown> = Promise.resolve();
  const writeOut = async () => {
    if (!handle) return;
    try {
      while (pending.length > 0) {
        // At its place: of a write that was cut short, the rest is written again.
        const { bytesWritten } = await handle.write(pending, 0, pending.length, onDisk);
        onDisk += bytesWritten;
        pending = pending.subarray(bytesWritten);
      }
      fault = null;
    } catch (error) {
      if (!isDiskError(error)) throw error;
      fault = error;
    }
  };
  return {
    size: () => onDisk + pending.length,
    /** Why the disk did not take all of it; null: it did. */
    fault: () => fault,
    push: (text: string) => {
      pending = Buffer.concat([pending, Buffer.from(text)]);
    },
    flush: async () => {
      writing = writing.then(writeOut);
      await writing;
      return onDisk + pending.length;
    },
    read: async ({ offset, bytes }: { offset: number; bytes: number }) => {
      if (offset >= onDisk) {
        const from = offset - onDisk;
        return Buffer.from(pending.subarray(from, from + bytes));
      }
      const length = Math.min(bytes, onDisk - offset);
      const { buffer, bytesRead } = await handle!.read(Buffer.alloc(length), 0, length, offset);
      return buffer.subarray(0, bytesRead);
    },
  };
}
