import { chmod, stat } from "node:fs/promises";
import { expect, test } from "vitest";
import { identityFile, readIdentity, writeIdentity } from "../../agent/identity.ts";
import { makeIdentity } from "../helpers/agent.ts";
import { temporaryDirectory } from "../helpers/directory.ts";

test("an identity is kept for its owner alone, and comes back as it was", async () => {
  const stateDir = await temporaryDirectory();
  const { identity } = await makeIdentity();
  await writeIdentity({ stateDir, identity });
  expect((await stat(identityFile(stateDir))).mode & 0o777).toBe(0o600);
  expect(await readIdentity({ stateDir })).toEqual(identity);
});

test("an identity that others may read is refused with the cure", async () => {
  const stateDir = await temporaryDirectory();
  const { identity } = await makeIdentity();
  await writeIdentity({ stateDir, identity });
  await chmod(identityFile(stateDir), 0o640);
  await expect(readIdentity({ stateDir })).rejects.toThrow("chmod 600");
});

test("a host that has not joined is told to", async () => {
  await expect(readIdentity({ stateDir: await temporaryDirectory() })).rejects.toThrow(
    'run "mirrorfleet-agent join"',
  );
});
