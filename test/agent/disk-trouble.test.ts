import { mkdir, open } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { diskTrouble } from "../../agent/disk-trouble.ts";
import { refusal } from "../../agent/run-task.ts";
import { temporaryDirectory } from "../helpers/directory.ts";

const failing = (code: string, path?: string) =>
  Object.assign(new Error(`${code}: it did not work, open`), { code, syscall: "open", path });

/** A write that a real full device refuses; the system names no path. */
async function writeToFull(): Promise<unknown> {
  const file = await open("/dev/full", "w");
  try {
    return await file.writeFile("x").catch((error: unknown) => error);
  } finally {
    await file.close();
  }
}

async function host() {
  const directory = await temporaryDirectory();
  const [stateDir, root] = [join(directory, "state"), join(directory, "mirror")];
  for (const each of [stateDir, root]) await mkdir(each);
  return { stateDir, root, config: { stateDir, mirrorRoots: [root], quarantines: null } as any };
}

test("a full disk ends an attempt with the directory's name and what to do", async () => {
  const { stateDir, root, config } = await host();
  const said = async (error: unknown) => (await refusal({ config }, error)).message;
  expect(await said(failing("ENOSPC", join(stateDir, "carried", "debian.json")))).toBe(
    `the agent's state directory ${stateDir} is full (ENOSPC): make room there (df and df -i say of what)`,
  );
  expect(await said(failing("EDQUOT", join(root, "debian")))).toMatch(
    `the mirror root ${root} is over its quota (EDQUOT): raise the quota`,
  );
  expect(await said(failing("EROFS", stateDir))).toMatch(/read-only .*ReadWritePaths=/);
  expect(await said(failing("EACCES", stateDir))).toMatch(/^the agent failed: EACCES/);
  expect((await refusal({ config }, failing("ENOSPC", stateDir))).outcome).toBe("retryable");
});

test("of a write, of which the system names no path, the directory with the least room is told", async () => {
  const error = await writeToFull();
  expect(error).toMatchObject({ code: "ENOSPC" });
  expect(error).not.toHaveProperty("path");
  const directory = await temporaryDirectory();
  // /proc has no room at all.
  const writables = [
    { name: "the mirror root", path: directory },
    { name: "the agent's state directory", path: "/proc" },
  ];
  expect(await diskTrouble(error, writables)).toMatch(/state directory \/proc is full/);
});
