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

test("of a log without end beginning and end are kept, and a line between says how much was left out", async () => {
  const stateDir = await temporaryDirectory();
  const entry = await newSpoolEntry({ stateDir, ticket: ticket() });
  const lines = Array.from({ length: 100_000 }, (_, index) => `${index} ${"ü".repeat(40)}`);
  for (const line of lines) entry.write(line);
  const { logBytes } = await entry.finish(testResult());
  expect(logBytes).toBeGreaterThan(3.99 * 1024 * 1024);
  expect(logBytes).toBeLessThan(4 * 1024 * 1024 + 200);
  const text = (await entry.readLog({ offset: 0, bytes: logBytes })).toString();
  const [head, left, tail] = text.split(/… (\d+ lines \(\d+ bytes\)) left out here …\n/);
  const first = head!.split("\n").length - 1;
  const last = tail!.split("\n").length - 1;
  expect(head).toBe(`${lines.slice(0, first).join("\n")}\n`);
  expect(tail).toBe(`${lines.slice(-last).join("\n")}\n`);
  const out = Buffer.byteLength(lines.slice(first, -last).join("\n")) + 1;
  expect(left).toBe(`${lines.length - first - last} lines (${out} bytes)`);
});

test("a log that is a little too long for its beginning is whole", async () => {
  const entry = await newSpoolEntry({ stateDir: await temporaryDirectory(), ticket: ticket() });
  const lines = Array.from({ length: 60 }, (_, index) => `${index}`.padEnd(60 * 1024, "x"));
  for (const line of lines) entry.write(line);
  const { logBytes } = await entry.finish(testResult());
  const text = (await entry.readLog({ offset: 0, bytes: logBytes })).toString();
  expect(text).toBe(`${lines.join("\n")}\n`);
});
