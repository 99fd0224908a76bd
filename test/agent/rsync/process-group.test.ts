import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { expect, onTestFinished, test } from "vitest";
import { endGroup, groupLives, livesIn } from "../../../agent/rsync/process-group.ts";

/** Starts a script in a process group of its own, and waits for its first line. */
async function startGroup(script: string) {
  const child = spawn("sh", ["-c", script], {
    detached: true,
    stdio: ["ignore", "pipe", "ignore"],
  });
  const group = child.pid!;
  onTestFinished(
    () => void (child.exitCode ?? child.signalCode ?? process.kill(-group, "SIGKILL")),
  );
  const [line] = await once(createInterface(child.stdout), "line");
  return { group, line: String(line) };
}

test("a group whose last process is a zombie of a parent elsewhere has ended", async () => {
  // The subshell becomes a session of its own, and never asks how its child has ended.
  const { group, line } = await startGroup(
    "trap 'exit 0' TERM\n( sleep 0.1 & exec setsid sleep 30 >/dev/null ) & sleep 0.5; echo $!\nsleep 30 & wait",
  );
  onTestFinished(() => void process.kill(Number(line), "SIGKILL"));
  expect(await groupLives(group)).toBe(true);
  const began = performance.now();
  expect(await endGroup(group)).toBe(false);
  expect(performance.now() - began).toBeLessThan(5000);
  // It is still there for the kernel: else this test would show nothing.
  expect(() => process.kill(-group, 0)).not.toThrow();
  expect(await groupLives(group)).toBe(false);
});

test("a process that does not heed TERM is killed, and that is told", async () => {
  const { group } = await startGroup("trap '' TERM\necho up\nwhile :; do sleep 1; done");
  expect(await endGroup(group)).toBe(true);
  expect(await groupLives(group)).toBe(false);
});

test.each([
  ["7 (rsync) S 1 42 42 0", true],
  ["7 (rsync) Z 1 42 42 0", false],
  ["7 (a) Z 1 42 (b)) D 1 42 42 0", true],
  ["7 (rsync) S 1 43 43 0", false],
  ["", false],
])("%s lives in group 42: %s", (stat, lives) => {
  expect(livesIn(stat, { group: 42 })).toBe(lives);
});
