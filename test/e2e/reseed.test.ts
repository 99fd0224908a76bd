import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, onTestFinished, test } from "vitest";
import { startUpstream } from "../../demo/fleet.ts";
import { freePort, type Program, stopPrograms } from "../../demo/processes.ts";
import { temporaryDirectory } from "../helpers/directory.ts";
import { joinAgent, startControlPlaneProgram, until } from "../helpers/programs.ts";

const program = fileURLToPath(new URL("../../cli/main.ts", import.meta.url));
const text = (path: string) => readFile(path, "utf8").catch(() => null);

test("a master that lost its disk gets its tree back from an FTP host, which keeps every file", async () => {
  const directory = await temporaryDirectory();
  const { client, url, token } = await startControlPlaneProgram({ directory });
  const port = await freePort();
  const env = { MIRRORFLEET_DAEMON_PORT: String(port) };
  const master = await joinAgent(
    { client, url },
    { directory, host: "master", source: "rsync://*", env },
  );
  const ftp = await joinAgent(
    { client, url },
    { directory, host: "ftp1", source: `rsync://127.0.0.1:${port}/` },
  );
  master.run();
  ftp.run();
  const onMaster = join(master.root, "apache");
  const onFtp = join(ftp.root, "apache");
  await mkdir(onMaster);
  for (const name of ["one", "two"]) await writeFile(join(onMaster, name), name);
  await mkdir(join(onMaster, "local"));
  await writeFile(join(onMaster, "local/notes"), "kept by a filter");
  await client.createProject({
    name: "apache",
    schedule: "0 0 1 1 *",
    description: "uploaded here",
    rsync: { filters: [{ action: "exclude", pattern: "/local/" }], bandwidthKiBps: 1000 },
  });
  await client.syncProject("apache");
  await until("ftp1 has it", () => text(join(onFtp, "two")));
  // A file of the FTP host alone stands for what its daemon does not show.
  await writeFile(join(onFtp, "own"), "kept");
  const before = await client.getProject("apache");

  await rm(onMaster, { recursive: true });
  const track = (started: Program) => onTestFinished(() => stopPrograms([started]));
  const from = await startUpstream({ directory, track }, { tree: onFtp });
  const reseed = async (...args: string[]) =>
    promisify(execFile)(
      process.execPath,
      [program, "project", "reseed", "apache", "--from", from, ...args],
      {
        cwd: directory,
        env: {
          PATH: process.env["PATH"]!,
          HOME: directory,
          MIRRORFLEET_URL: url,
          MIRRORFLEET_TOKEN: token,
        },
      },
    );
  const plan = await reseed();
  expect(plan.stderr).toMatch(/pause it on ftp1.*uploads.*must wait.*nothing was done/s);
  expect((await client.getProject("apache")).version).toBe(before.version);
  expect(existsSync(join(directory, "reseed-apache.yaml"))).toBe(false);

  await reseed("--yes");
  expect(await text(join(onMaster, "one"))).toBe("one");
  expect(await text(join(onFtp, "own"))).toBe("kept");
  const after = await client.getProject("apache");
  for (const field of ["upstream", "fallbacks", "parts", "schedule", "sentinel", "rsync"] as const)
    expect(after[field]).toEqual(before[field]);
  expect(after.replicas.find(({ host }) => host === "ftp1")).toMatchObject({ paused: true });

  // What only a filter protects is on the master again: it goes on no FTP host.
  expect(await text(join(onMaster, "local/notes"))).toBe("kept by a filter");
  expect(existsSync(join(directory, "reseed-apache.yaml"))).toBe(false);

  // A second one, while ftp1 still pulls: it waits for that, and goes by the definition of now.
  await client.patchProject("apache", { rsync: { filters: [] } });
  await writeFile(join(onMaster, "large"), randomBytes(6_000_000));
  await client.resumeReplica("apache", "ftp1");
  await client.syncProject("apache");
  const running = { project: "apache", host: "ftp1", state: "leased" } as const;
  await until("ftp1 pulls", async () => (await client.listTasks(running)).items.length > 0);
  const second = await reseed("--yes");
  expect(second.stderr).toMatch(/waits for ftp1; to end it: mirrorfleet run cancel /);
  expect((await readFile(join(onFtp, "large"))).length).toBe(6_000_000);
  expect((await client.getProject("apache")).rsync.filters).toEqual([]);
});
