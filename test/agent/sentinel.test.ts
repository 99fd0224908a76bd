import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import fc from "fast-check";
import { expect, test } from "vitest";
import { judgeSentinel, recallSentinel, rememberSentinel } from "../../agent/sentinel.ts";
import { temporaryDirectory } from "../helpers/directory.ts";

const moment = fc.integer({ min: 0, max: 10_000 });
const sentinel = fc.record({ digest: fc.constantFrom("a", "b"), mtimeMs: moment });

test("a scan is left out only where the sentinel is the very same and the last scan is young enough", () => {
  fc.assert(
    fc.property(
      sentinel,
      fc.record({ digest: fc.constantFrom("a", "b"), mtimeMs: moment, scannedAt: moment }),
      fc.integer({ min: 0, max: 10 }),
      moment,
      (seen, remembered, scanEverySeconds, now) => {
        const judged = judgeSentinel({ sentinel: seen, remembered, scanEverySeconds, now });
        const same = seen.digest === remembered.digest && seen.mtimeMs === remembered.mtimeMs;
        const age = now - remembered.scannedAt;
        expect(judged === "older").toBe(seen.mtimeMs < remembered.mtimeMs);
        expect(judged === "unchanged").toBe(same && age >= 0 && age < scanEverySeconds * 1000);
      },
    ),
  );
});

test("a first pull is a scan", () => {
  const seen = { digest: "a", mtimeMs: 1 };
  expect(judgeSentinel({ sentinel: seen, remembered: null, scanEverySeconds: 3600, now: 1 })).toBe(
    "scan",
  );
});

test("what is remembered comes back; what is broken is as if it were not there", async () => {
  const stateDir = await temporaryDirectory();
  await mkdir(join(stateDir, "sentinels"));
  const remembered = { digest: "a", mtimeMs: 5, scannedAt: 6 };
  await rememberSentinel({ stateDir, key: "key", remembered });
  expect(await recallSentinel({ stateDir, key: "key" })).toEqual(remembered);
  expect(await recallSentinel({ stateDir, key: "other" })).toBeNull();
  await writeFile(join(stateDir, "sentinels", "key"), '{"digest":');
  expect(await recallSentinel({ stateDir, key: "key" })).toBeNull();
});
