import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished, test } from "vitest";
import { holdDestination, holdName } from "../../agent/hold.ts";
import { temporaryDirectory } from "../helpers/directory.ts";
import { isRoot } from "../helpers/postgres.ts";
import { startSource } from "../helpers/rsync.ts";

const script = fileURLToPath(new URL("../helpers/pull-and-hold.ts", import.meta.url));

const isFree = (destination: string) =>
  holdDestination({ destination }).then(
    async (held) => {
      await held.release();
      return true;
    },
    (error: { code?: string }) => {
      if (error.code !== "conflict") throw error;
      return false;
    },
  );

test("a destination stays held while an rsync of a killed agent lives, and is free when it is dead", async () => {
  const { tree, destination, stateDir, port } = await startSource();
  await writeFile(join(tree, "large"), Buffer.alloc(8 * 1024 * 1024));
  expect(await isFree(destination)).toBe(true);
  const agent = spawn(process.execPath, [script, destination, stateDir, String(port)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  onTestFinished(() => void agent.kill("SIGKILL"));
  const [line] = (await once(agent.stdout, "data")) as [Buffer];
  const rsync = Number(line.toString());
  onTestFinished(() => {
    try {
      process.kill(-rsync, "SIGKILL");
    } catch {
      // It has ended, as it should.
    }
  });
  agent.kill("SIGKILL");
  await once(agent, "exit");
  process.kill(rsync, 0);
  expect(await isFree(destination)).toBe(false);
  process.kill(-rsync, "SIGKILL");
  for (let tries = 0; !(await isFree(destination)); tries++) {
    expect(tries).toBeLessThan(100);
    await sleep(50);
  }
});

test("a destination is held by one at a time, and the other is told what keeps it", async () => {
  const destination = await temporaryDirectory();
  const held = await holdDestination({ destination });
  await expect(holdDestination({ destination })).rejects.toMatchObject({
    code: "conflict",
    message: `another rsync is at work on ${destination}`,
  });
  await held.release();
  await (await holdDestination({ destination })).release();
});

/** The kernel's name for what is held; any user may take it, and connect to it. */
const addressOf = (name: string) =>
  `mirrorfleet-agent:${createHash("sha256").update(name).digest("hex")}`;

test("whoever connects to what is held is sent away, and costs no descriptor", async () => {
  const name = await temporaryDirectory();
  const held = await holdName({ name, what: "" });
  onTestFinished(held.release);
  const strangers = Array.from({ length: 50 }, () =>
    connect({ path: `\0${addressOf(name)}`, allowHalfOpen: true }),
  );
  await Promise.all(strangers.map((each) => once(each.resume(), "end")));
  for (const each of strangers) each.destroy();
});

const squat = `use Socket; socket(S, PF_UNIX, SOCK_STREAM, 0) or die;
bind(S, pack_sockaddr_un("\\0$ARGV[0]")) or die $!; listen(S, 1) or die; $| = 1; print "up\\n"; sleep 60;`;

test.skipIf(!isRoot)(
  "a name that another user has taken is told from one that an agent holds, with the cure",
  async () => {
    const destination = await temporaryDirectory();
    const address = addressOf(`destination ${destination}`);
    const args = ["--reuid=65534", "--clear-groups", "perl", "-e", squat, address];
    const squatter = spawn("setpriv", args, { stdio: ["ignore", "pipe", "inherit"] });
    onTestFinished(() => void squatter.kill("SIGKILL"));
    await once(squatter.stdout, "data");
    await expect(holdDestination({ destination })).rejects.toMatchObject({
      code: "conflict",
      message: expect.stringMatching(
        new RegExp(`a process of another user .*rsync is at work on .*grep ${address}`),
      ),
    });
    squatter.kill("SIGKILL");
    await once(squatter, "exit");
    await (await holdDestination({ destination })).release();
  },
);
