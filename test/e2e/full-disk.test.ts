import { execFileSync } from "node:child_process";
import { chmod, mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { startUpstream } from "../../demo/fleet.ts";
import { freePort, type Program, stopPrograms } from "../../demo/processes.ts";
import { temporaryDirectory } from "../helpers/directory.ts";
import { isRoot } from "../helpers/postgres.ts";
import { joinAgent, startControlPlaneProgram, until } from "../helpers/programs.ts";

/** A file system of its own, of which a test can use up the space. Root alone may mount one. */
async function mountSmall(path: string): Promise<void> {
  await mkdir(path, { recursive: true });
  execFileSync("mount", ["-t", "tmpfs", "-o", "size=512k,mode=700", "none", path]);
  onTestFinished(() => void execFileSync("umount", ["-l", path]));
}

/** Takes all the space that is left. */
async function fill(path: string): Promise<string> {
  const filler = join(path, "filler");
  for (let bytes = 64 * 1024; bytes >= 1; bytes = Math.floor(bytes / 2))
    for (let full = false; !full;)
      await writeFile(filler, Buffer.alloc(bytes), { flag: "a" }).catch(() => {
        full = true;
      });
  return filler;
}

test.skipIf(!isRoot)(
  "an agent whose state directory is full says so in the attempt, and goes on when there is room (skipped unless root: it mounts a disk)",
  async () => {
    const directory = await temporaryDirectory();
    await chmod(directory, 0o711);
    const { client, ...controlPlane } = await startControlPlaneProgram({ directory });
    const tree = join(directory, "upstream");
    await mkdir(tree);
    await writeFile(join(tree, "file"), "content");
    const track = (program: Program) => onTestFinished(() => stopPrograms([program]));
    const url = await startUpstream({ directory, track }, { tree });
    await mountSmall(join(directory, "master", "state"));
    const master = await joinAgent(
      { client, url: controlPlane.url },
      {
        directory,
        host: "master",
        source: url,
        env: { MIRRORFLEET_DAEMON_PORT: String(await freePort()) },
      },
    );
    master.run();
    await until("the agent polls", async () => (await client.getHost("master")).lastSeenAt);
    await client.createProject({ name: "debian", upstream: url, hosts: [], retrySeconds: 1 });
    const filler = await fill(master.stateDir);
    const { id } = await client.syncProject("debian");
    const task = await until("the first attempt has been reported", async () => {
      const [found] = (await client.getRun(id)).tasks;
      const detail = found && (await client.getTask(found.id));
      return detail?.attempts[0]?.result ? detail : null;
    });
    const { outcome, message } = task.attempts[0]!.result!;
    expect(outcome).toBe("retryable");
    expect(message).toContain(
      `state directory ${master.stateDir} is full (ENOSPC): make room there`,
    );
    expect(message.match(/is full/g)).toHaveLength(1);
    await rm(filler);
    await until("the next attempt has succeeded", async () => {
      const run = await client.getRun(id);
      if (run.state === "failed") throw new Error(run.reason ?? "failed");
      return run.state === "succeeded";
    });
  },
);
