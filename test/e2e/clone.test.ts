import { cp, mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { temporaryDirectory } from "../helpers/directory.ts";
import {
  exitOf,
  joinAgent,
  killHard,
  start,
  startControlPlaneProgram,
  until,
} from "../helpers/programs.ts";

test("an agent on a copy of the state directory is noticed, both keep their keys, and one goes on when it is released", async () => {
  const directory = await temporaryDirectory();
  const { client, url } = await startControlPlaneProgram({ directory });
  const source = "rsync://*";
  const agent = await joinAgent({ client, url }, { directory, host: "ftp1", source });
  const polls = (host = "ftp1") => client.getHost(host);
  // Starts, a kill and a quick start again are no clones.
  await killHard(await runUntilSeen());
  const original = await runUntilSeen();
  expect((await polls()).state).toBe("enrolled");

  async function runUntilSeen() {
    const before = (await polls()).lastSeenAt;
    const program = agent.run();
    await until("it polls", async () => (await polls()).lastSeenAt !== before);
    return program;
  }

  const copied = join(directory, "copy");
  await mkdir(copied);
  await cp(agent.stateDir, join(copied, "state"), { recursive: true, preserveTimestamps: true });
  await mkdir(join(copied, "mirror"));
  const copyLog = join(copied, "agent.log");
  const copy = start({
    name: "copy",
    command: process.execPath,
    args: [join(import.meta.dirname, "../../agent/main.ts"), "run"],
    env: {
      MIRRORFLEET_STATE_DIR: join(copied, "state"),
      MIRRORFLEET_MIRROR_ROOTS: join(copied, "mirror"),
      MIRRORFLEET_SOURCES: source,
    },
    logFile: copyLog,
  });
  await until("the clone is noticed", async () => (await polls()).state === "quarantined");
  for (const log of [agent.log, () => readFile(copyLog, "utf8")])
    await until("each says it, and the cure", async () =>
      /host ftp1 is quarantined.*host release ftp1.*--replace/.test(await log()),
    );
  const identity = (stateDir: string) => readFile(join(stateDir, "identity.json"), "utf8");
  expect(await identity(join(copied, "state"))).toBe(await identity(agent.stateDir));
  // Neither ends, enrols, or makes keys: that is for people.
  for (const { child } of [original, copy]) expect(child.exitCode).toBeNull();
  const events = await client.listAuditEvents({ limit: 200 });
  expect(events.items.filter(({ action }) => action === "enrol")).toHaveLength(1);
  expect(events.items.filter(({ action }) => action === "quarantineHost")).toHaveLength(1);

  copy.child.kill("SIGTERM");
  expect(await exitOf(copy)).toBe(0);
  await client.releaseHost("ftp1");
  await until("the one that is left goes on", async () =>
    /in contact with the control plane again/.test(await agent.log()),
  );
  expect((await polls()).state).toBe("enrolled");
});
