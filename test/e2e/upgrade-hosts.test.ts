import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { stopPrograms } from "../../demo/processes.ts";
import { version } from "../../protocol/version.ts";
import { temporaryDirectory } from "../helpers/directory.ts";
import { joinAgent, startControlPlaneProgram, until } from "../helpers/programs.ts";

const file = (path: string) => fileURLToPath(new URL(`../../${path}`, import.meta.url));
const hasJq = await promisify(execFile)("jq", ["--version"]).then(
  () => true,
  () => false,
);

test.skipIf(!hasJq)(
  "hosts are upgraded one after the other, and a failure, or an agent that does not come back, leaves the rest as they were (needs jq)",
  async () => {
    const directory = await temporaryDirectory();
    const { client, url, token } = await startControlPlaneProgram({ directory });
    const agents = new Map<string, Awaited<ReturnType<typeof joinAgent>>>();
    for (const host of ["ftp1", "ftp2"]) {
      const agent = await joinAgent({ client, url }, { directory, host, source: "rsync://*" });
      agents.set(host, agent);
    }
    const running = new Map([...agents].map(([host, agent]) => [host, agent.run()]));
    for (const host of agents.keys())
      await until("it polls", async () => (await client.getHost(host)).lastSeenAt);

    const cli = join(directory, "mirrorfleet");
    await writeFile(cli, `#!/bin/sh\nexec ${process.execPath} ${file("cli/main.ts")} "$@"\n`, {
      mode: 0o755,
    });
    const upgrade = (command: string, env: Record<string, string>) =>
      promisify(execFile)(file("deploy/upgrade-hosts.sh"), [command, "ftp1", "ftp2"], {
        env: {
          PATH: process.env["PATH"]!,
          HOME: directory,
          MIRRORFLEET: cli,
          MIRRORFLEET_URL: url,
          MIRRORFLEET_TOKEN: token,
          SOAK: "1",
          ...env,
        },
      });
    const drained = async () =>
      Promise.all(["ftp1", "ftp2"].map(async (host) => (await client.getHost(host)).drained));

    const failed = upgrade("echo upgrade {}; false", { PATIENCE: "30" });
    await expect(failed).rejects.toMatchObject({
      stderr: expect.stringContaining("ftp1 failed; it stays drained"),
    });
    expect(await drained()).toEqual([true, false]);
    await client.resumeHost("ftp1");

    // The old agent is heard of while the upgrade runs, and no new one after it.
    const marks = join(directory, "upgraded-");
    const dead = upgrade(`touch ${marks}{}; until test -e ${marks}end; do sleep 0.1; done`, {
      PATIENCE: "4",
    });
    const expectDead = expect(dead).rejects.toMatchObject({
      stderr: expect.stringContaining("the new agent of ftp1 was not heard of; it stays drained"),
    });
    await until("the upgrade runs", () => existsSync(`${marks}ftp1`));
    const { lastSeenAt } = await client.getHost("ftp1");
    await until(
      "it polls again",
      async () => (await client.getHost("ftp1")).lastSeenAt !== lastSeenAt,
    );
    await stopPrograms([running.get("ftp1")!]);
    await writeFile(`${marks}end`, "");
    await expectDead;
    expect(await drained()).toEqual([true, false]);
    await client.resumeHost("ftp1");
    running.set("ftp1", agents.get("ftp1")!.run());

    // Restarting the agents while the script waits stands for what a package does.
    const going = upgrade("true", { PATIENCE: "60" });
    for (const host of ["ftp1", "ftp2"]) {
      await until(`${host} is upgraded`, async () => (await client.getHost(host)).drained);
      await stopPrograms([running.get(host)!]);
      running.set(host, agents.get(host)!.run());
      await until(`${host} goes on`, async () => !(await client.getHost(host)).drained);
    }
    const { stdout } = await going;
    expect(stdout.match(/^ftp\d: .*/gm)).toEqual([
      "ftp1: drains",
      "ftp1: upgrades",
      `ftp1: done, ${version}`,
      "ftp2: drains",
      "ftp2: upgrades",
      `ftp2: done, ${version}`,
    ]);
    const again = await upgrade("false", { VERSION: version });
    expect(again.stdout).toBe(`ftp1: has ${version} already\nftp2: has ${version} already\n`);
    expect(await drained()).toEqual([false, false]);
  },
);
