import { execFile } from "node:child_process";
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
  "hosts are upgraded one after the other, and a failure leaves the rest as they were (needs jq)",
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

    // Restarting the agents while the script waits stands for what a package does.
    const marks = join(directory, "upgraded-");
    const going = upgrade(`touch ${marks}{}`, { PATIENCE: "60", VERSION: version });
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
    expect(await drained()).toEqual([false, false]);
  },
);
