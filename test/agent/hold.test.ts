import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished, test } from "vitest";
import { holdDestination } from "../../agent/destination.ts";
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
