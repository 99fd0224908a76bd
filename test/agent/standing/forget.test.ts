import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { forgetCarried, recallCarried, rememberCarried } from "../../../agent/changes/carried.ts";
import { forgetPlace, openJournal } from "../../../agent/changes/journal.ts";
import { temporaryDirectory } from "../../helpers/directory.ts";

async function publish(stateDir: string, generation: number) {
  const journal = await openJournal({ stateDir, project: "debian", generation, place: "here" });
  await journal.begin();
  journal.add({ below: "", line: "a line" });
  await journal.end({ clean: true });
  const { changeList } = await journal.publish();
  await journal.close();
  return changeList;
}

test("after a pull without a journal the next generation has no list, and the one after it has", async () => {
  const stateDir = await temporaryDirectory();
  await publish(stateDir, 1);
  expect(await publish(stateDir, 2)).not.toBeNull();
  await forgetPlace({ stateDir, project: "debian" });
  expect(await publish(stateDir, 3)).toBeNull();
  expect(await publish(stateDir, 4)).not.toBeNull();
});

test("a host that scans by itself does not know any more which generation it has", async () => {
  const stateDir = await temporaryDirectory();
  await mkdir(join(stateDir, "carried"));
  const key = { stateDir, project: "debian", place: "here" };
  await rememberCarried({ ...key, generation: 7 });
  expect(await recallCarried(key)).toBe(7);
  await forgetCarried(key);
  expect(await recallCarried(key)).toBeNull();
  await forgetCarried({ stateDir, project: "never-carried" });
});
