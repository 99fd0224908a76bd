import { mkdir, readdir } from "node:fs/promises";
import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { expect, test } from "vitest";
import { leftSpoolEntries, newSpoolEntry } from "../../agent/spool.ts";
import { testResult } from "../helpers/control-plane.ts";
import { temporaryDirectory } from "../helpers/directory.ts";

const ticket = () => ({ taskId: randomUUID(), attempt: 1, taskToken: "token" });

test("log and result of an attempt outlive the agent", async () => {
  const stateDir = await temporaryDirectory();
  const entry = await newSpoolEntry({ stateDir, ticket: ticket() });
  entry.write("first");
  entry.write("ünïcode");
  const { logBytes: _, ...result } = testResult({ message: "done" });
  await entry.finish(result);
  const [left] = await leftSpoolEntries({ stateDir, log: () => {} });
  expect(left!.ticket).toEqual(entry.ticket);
  const text = "first\nünïcode\n";
  expect(await left!.result()).toMatchObject({
    message: "done",
    logBytes: Buffer.byteLength(text),
  });
  expect((await left!.readLog({ offset: 0, bytes: 1000 })).toString()).toBe(text);
  await left!.remove();
  expect(await readdir(join(stateDir, "spool"))).toEqual([]);
});

test("an attempt that the agent died in is left without a result", async () => {
  const stateDir = await temporaryDirectory();
  const entry = await newSpoolEntry({ stateDir, ticket: ticket() });
  entry.write("begun");
  await entry.flush();
  const [left] = await leftSpoolEntries({ stateDir, log: () => {} });
  expect(await left!.result()).toBeNull();
});

test("a directory without a ticket is removed: its attempt never began", async () => {
  const stateDir = await temporaryDirectory();
  await mkdir(join(stateDir, "spool", "half"), { recursive: true });
  expect(await leftSpoolEntries({ stateDir, log: () => {} })).toEqual([]);
  expect(await readdir(join(stateDir, "spool"))).toEqual([]);
});

test("of a log without end the beginning is kept, and what was left out is counted", async () => {
  const stateDir = await temporaryDirectory();
  const entry = await newSpoolEntry({ stateDir, ticket: ticket() });
  const line = "x".repeat(64 * 1024);
  for (let index = 0; index < 100; index++) entry.write(line);
  const { logBytes } = await entry.finish(testResult());
  expect(logBytes).toBeLessThan(5 * 1024 * 1024);
  const tail = await entry.readLog({ offset: logBytes - 100, bytes: 100 });
  expect(tail.toString()).toMatch(/… 3\d more lines not kept\n$/);
});
