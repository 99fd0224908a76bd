import { randomUUID } from "node:crypto";
import { expect, test } from "vitest";
import { endedText, stateWord } from "../../cli/task-outcome.ts";
import type { RunDetail, Task } from "../../protocol/run.ts";
import { testResult } from "../helpers/control-plane.ts";

const task = (given: Partial<Task>): Task =>
  ({ id: randomUUID(), host: "master", state: "failed", result: null, ...given }) as Task;

const runWith = (tasks: Task[]) =>
  ({ id: "the-run", state: "failed", reason: "failed on master", tasks }) as RunDetail;

test("who follows a run reads why it failed, from each host that says so", () => {
  const message = "rsync 10: no connection: add it to MIRRORFLEET_SOURCES";
  const failed = task({ result: testResult({ outcome: "fatal", message }) });
  const fine = task({
    host: "ftp1",
    state: "succeeded",
    result: testResult({ message: "by a list" }),
  });
  const cancelled = task({ host: "ftp2", state: "cancelled" });
  expect(endedText(runWith([failed, fine, cancelled]))).toBe(
    `run the-run: failed: failed on master\n  master failed: ${message}`,
  );
});

test("deletions that wait are called held, with what to type about them", () => {
  const held = task({ result: testResult({ outcome: "held", message: "22 of 47 files" }) });
  expect(stateWord(held)).toBe("held");
  expect(
    endedText(runWith([held]))
      .split("\n")
      .slice(1),
  ).toEqual([
    "  master held: 22 of 47 files",
    `    to let them go: mirrorfleet held approve ${held.id}`,
    `    to leave them:  mirrorfleet held dismiss ${held.id}`,
  ]);
});

test("a task that was held before, and waits again after its approval, is what it is now", () => {
  const result = testResult({ outcome: "held", message: "22 of 47 files" });
  expect(stateWord(task({ state: "queued", result }))).toBe("queued");
});
