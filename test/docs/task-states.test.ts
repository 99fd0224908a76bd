import { readFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { eventByOutcome, runTransitions, taskTransitions } from "../../protocol/states.ts";

const text = await readFile(new URL("../../docs/task-states.md", import.meta.url), "utf8");

/** Rows of the table below a heading, without its head. */
function table(heading: string): string[][] {
  const section = text.split(`## ${heading}\n`)[1]?.split("\n## ")[0] ?? "";
  const rows = section.split("\n").filter((line) => line.startsWith("|"));
  return rows.slice(2).map((line) =>
    line
      .split("|")
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
}

function rowsOf(transitions: Record<string, Record<string, string>>): string[][] {
  return Object.entries(transitions).flatMap(([state, events]) =>
    Object.entries(events).map(([event, next]) => [state, event, next]),
  );
}

test("the documented transitions of a task are those of the code", () => {
  expect(table("Task")).toEqual(rowsOf(taskTransitions));
});

test("the documented transitions of a run are those of the code", () => {
  expect(table("Run")).toEqual(rowsOf(runTransitions));
});

test("the documented outcomes and their events are those of the code", () => {
  expect(table("Outcome of an attempt").map(([outcome, , event]) => [outcome, event])).toEqual(
    Object.entries(eventByOutcome),
  );
});
