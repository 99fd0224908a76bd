import { expect, test } from "vitest";
import { runChaos } from "../../chaos/run.ts";

test("a fleet under faults loses nothing, writes no destination twice at a time, and comes to rest in sync", async () => {
  const lines: string[] = [];
  const { history, violations, faults } = await runChaos(
    { seed: 4, seconds: 6, controlPlanes: 2, ftpHosts: 1, sabotage: null, keep: false },
    { print: (line) => lines.push(line), signal: new AbortController().signal },
  );
  expect(violations).toEqual([]);
  expect(history.faults.length).toBeGreaterThanOrEqual(faults.length);
  expect(history.attempts.length).toBeGreaterThan(5);
  expect(history.trees.length).toBeGreaterThan(3);
});
