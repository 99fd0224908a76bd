import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdir } from "node:fs/promises";
import { text } from "node:stream/consumers";
import { expect, onTestFinished, test, vi } from "vitest";
import { openPipe } from "../../../agent/rsync/pipe.ts";
import { temporaryDirectory } from "../../helpers/directory.ts";

/** Writes so many lines of 60 bytes, each by itself. */
const writeLines = (count: number) => ["-c", `yes ${"x".repeat(59)} | head -n ${count} | sed -u p`];

test("a thousand short lines wait for their reader without holding up who writes them, and all are read", async () => {
  const pipe = (await openPipe())!;
  const child = spawn("sh", writeLines(500), { stdio: ["ignore", pipe.writer, "ignore"] });
  pipe.letGo();
  // Nobody has read yet.
  expect(await once(child, "close")).toEqual([0, null]);
  const lines = (await text(pipe.reader)).split("\n");
  expect(lines).toHaveLength(1001);
  expect(new Set(lines.slice(0, -1))).toEqual(new Set(["x".repeat(59)]));
  expect(await pipe.ended).toBe(true);
});

test("a pipe that is given up before its end says so", async () => {
  const pipe = (await openPipe())!;
  const child = spawn("sh", writeLines(1), { stdio: ["ignore", pipe.writer, "ignore"] });
  await once(child, "close");
  pipe.reader.destroy();
  pipe.letGo();
  expect(await pipe.ended).toBe(false);
});

test("a pipe leaves no name behind, and where none can be made there is none", async () => {
  const directory = await temporaryDirectory();
  onTestFinished(() => void vi.unstubAllEnvs());
  vi.stubEnv("TMPDIR", directory);
  const pipe = (await openPipe())!;
  expect(await readdir(directory)).toEqual([]);
  pipe.reader.destroy();
  pipe.letGo();
  vi.stubEnv("PATH", directory);
  expect(await openPipe()).toBeNull();
  expect(await readdir(directory)).toEqual([]);
  vi.stubEnv("TMPDIR", `${directory}/missing`);
  expect(await openPipe()).toBeNull();
});
