import { createHash } from "node:crypto";
import { chmod, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { checkPackages } from "../../../control-plane/doctor/packages.ts";
import { version } from "../../../protocol/version.ts";
import { temporaryDirectory } from "../../helpers/directory.ts";

const debOf = (of: string) => `mirrorfleet-agent_${of}-1_amd64.deb`;
const deb = debOf(version);

/** A directory with packages by these names, and what the doctor says of it. */
async function makePackages(names: string[], { alsoNamed = [] as string[] } = {}) {
  const directory = await temporaryDirectory();
  const lines: string[] = [];
  for (const name of [...names, ...alsoNamed]) {
    await writeFile(join(directory, name), name);
    lines.push(`${createHash("sha256").update(name).digest("hex")}  ${name}\n`);
  }
  for (const name of alsoNamed) await rm(join(directory, name));
  await writeFile(join(directory, "SHA256SUMS"), lines.join(""));
  return { directory, said: () => checkPackages({ packagesDirectory: directory }) };
}

test("packages that are whole and of this version are in order, also where what is no agent's was left out", async () => {
  const { said, directory } = await makePackages([deb, "mirrorfleet-agent-linux-x64"], {
    alsoNamed: [`mirrorfleet-control-plane_${version}-1_amd64.deb`, "mirrorfleet.cdx.json"],
  });
  expect(await said()).toBe(`2 of the agent in ${directory}: ${version}`);
  const alone = await makePackages(["mirrorfleet-agent-linux-x64"]);
  expect(await alone.said()).toMatch(/^1 of the agent .* executables alone/);
  expect(await checkPackages({ packagesDirectory: undefined })).toMatch(
    /MIRRORFLEET_PACKAGES is not/,
  );
});

test("a directory that is not there, has no checksums, or none of the agent's, is told with the cure", async () => {
  const { directory, said } = await makePackages(["notes"]);
  await expect(said()).rejects.toThrow(/no package of the agent .*SHA256SUMS of one build/);
  await rm(join(directory, "SHA256SUMS"));
  await expect(said()).rejects.toThrow(/no output of "npm run build": ENOENT.*docs\/joining\.md/);
  await rm(directory, { recursive: true });
  await expect(said()).rejects.toThrow(/ENOENT.*unset MIRRORFLEET_PACKAGES/);
});

test("a package that is missing, or is not what the checksums say, is named", async () => {
  const missing = await makePackages([deb], { alsoNamed: ["mirrorfleet-agent-linux-arm64"] });
  await expect(missing.said()).rejects.toThrow("names mirrorfleet-agent-linux-arm64, which is not");
  const { directory, said } = await makePackages([deb]);
  await writeFile(join(directory, deb), "half of it");
  await expect(said()).rejects.toThrow(`${deb} is not what SHA256SUMS says`);
});

test("packages of another version than the control plane's are told apart by what hosts would get", async () => {
  const old = await makePackages([debOf("0.0.9")]);
  await expect(old.said()).rejects.toThrow(
    `get version 0.0.9 of the agent, and the control plane is ${version}`,
  );
  const [major] = version.split(".");
  const newer = `${Number(major) + 10}.0.0`;
  const both = await makePackages([deb, debOf(newer)]);
  await expect(both.said()).rejects.toThrow(`get version ${newer} of the agent`);
  // An old one beside it: hosts get the newest.
  expect(await (await makePackages([debOf("0.0.9"), deb])).said()).toContain(version);
});

test("packages that others may change are a way to become root on hosts that join", async () => {
  const { directory, said } = await makePackages([deb]);
  for (const path of [directory, join(directory, "SHA256SUMS"), join(directory, deb)]) {
    await chmod(path, 0o777);
    await expect(said()).rejects.toThrow(`others may write ${path}: chmod go-w ${path}`);
    await chmod(path, 0o755);
  }
  expect(await said()).toContain(version);
});
