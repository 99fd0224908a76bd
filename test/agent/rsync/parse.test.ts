import fc from "fast-check";
import { expect, test } from "vitest";
import { classifyExit } from "../../../agent/rsync/exit-codes.ts";
import { escapePath, unescapePath } from "../../../agent/rsync/itemize.ts";
import { parseProgress } from "../../../agent/rsync/progress.ts";
import { collectStat, completeStats } from "../../../agent/rsync/stats.ts";

test("reads a progress line of rsync", () => {
  expect(parseProgress("  1,238,099  98%  146.38kB/s    0:00:08 (xfr#5, to-chk=169/396)")).toEqual({
    bytes: 1_238_099,
    percent: 98,
    bytesPerSecond: 146_380,
    filesTransferred: 5,
    filesChecked: 227,
    filesTotal: 396,
  });
  expect(
    parseProgress("        1048576 100%   10.00MB/s    0:00:00 (xfr#1, ir-chk=1/3)"),
  ).toMatchObject({ bytes: 1_048_576, filesTotal: 3 });
  expect(parseProgress(">f+++++++++ 100% of it")).toBeNull();
});

test("no line whatever makes a parser throw or answer what the protocol refuses", () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.stringMatching(
          /^\s*[\d,.]+\s+\d{1,3}%\s+[\d.,]+[kMG]?B\/s 0:00:0\d( \(xfr#\d+, to-chk=\d+\/\d+\))?$/,
        ),
      ),
      (line) => {
        const progress = parseProgress(line);
        if (progress)
          expect(
            Object.values(progress).every((value) => Number.isSafeInteger(value) && value >= 0),
          ).toBe(true);
        expect(() => collectStat({}, line)).not.toThrow();
      },
    ),
  );
});

test("reads the statistics of rsync, and none where they are incomplete", () => {
  const stats = {};
  for (const line of [
    "Number of files: 1,024 (reg: 1,000, dir: 24)",
    "Number of created files: 3 (reg: 3)",
    "Number of deleted files: 0",
    "Total file size: 20,000 bytes",
    "Literal data: 7 bytes",
  ]) {
    expect(collectStat(stats, line)).toBe(true);
  }
  expect(completeStats(stats)).toMatchObject({
    files: 1024,
    created: 3,
    deleted: 0,
    totalBytes: 20_000,
    literalBytes: 7,
    matchedBytes: 0,
  });
  expect(completeStats({ files: 1 })).toBeNull();
});

test.each([
  [0, "", "ok"],
  [24, "file has vanished", "warning"],
  [23, "rsync: permission denied", "partial"],
  [5, "@ERROR: max connections (4) reached -- try again later", "retryable"],
  [5, "@ERROR: auth failed on module debian", "fatal"],
  [5, "@ERROR: Unknown module 'debian'", "fatal"],
  [10, "connection refused", "retryable"],
  [11, "rsync: write failed: No space left on device (28)", "fatal"],
  [12, "", "retryable"],
  [25, "", "retryable"],
  [30, "", "retryable"],
  [35, "", "retryable"],
  [1, "", "fatal"],
  [127, "", "fatal"],
] as const)("exit code %i with %j is %s", (exitCode, stderr, outcome) => {
  const classified = classifyExit({ exitCode, stderr });
  expect(classified.outcome).toBe(outcome);
  expect(classified.message).toContain(stderr);
});

test("a path of any bytes is written as rsync writes it, and read back", () => {
  expect(escapePath("a\nb\\#012\xff\tc")).toBe("a\\#012b\\#134#012\\#377\tc");
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 255 })), (bytes) => {
      const path = String.fromCodePoint(...bytes);
      expect(unescapePath(escapePath(path))).toBe(path);
    }),
  );
});
