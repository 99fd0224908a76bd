import { execFile } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { parse } from "yaml";
import { fleetFileSchema } from "../../../protocol/fleet-file.ts";
import { temporaryDirectory } from "../../helpers/directory.ts";
import { useFleet } from "../../helpers/fleet.ts";

const fleet = useFleet();
const program = fileURLToPath(new URL("../../../cli/main.ts", import.meta.url));
const fixtures = fileURLToPath(new URL("../../fixtures/import", import.meta.url));

/** Runs the real command on fixtures, then has the control plane say what applying the file would do. */
async function importAndTry(args: string[]) {
  const directory = await temporaryDirectory();
  const files = [join(directory, "fleet.yaml"), join(directory, "report")];
  const out = await promisify(execFile)(
    process.execPath,
    [program, "import", ...args, "-o", files[0]!, "--report", files[1]!],
    { cwd: fixtures, env: { PATH: process.env["PATH"]!, HOME: "/nonexistent" } },
  );
  expect(out).toEqual({ stdout: "", stderr: "" });
  const [text = "", report = ""] = await Promise.all(files.map((file) => readFile(file, "utf8")));
  for (const each of [text, report]) expect(each).not.toContain("not to be copied");
  const { projects } = fleetFileSchema.parse(parse(text));
  const response = await fleet.current.app.request("/v1/fleet?dryRun=1", {
    method: "PUT",
    headers: { authorization: `Bearer ${fleet.current.admin}`, "content-type": "application/yaml" },
    body: text,
  });
  expect(await response.json()).toMatchObject({
    applied: false,
    summary: { create: projects.length, update: 0, remove: 0, keep: 0 },
  });
  const byName = Object.fromEntries(projects.map((project) => [project.name, project]));
  const keeping = projects.filter(({ rsync }) => !rsync.delete).map(({ name }) => name);
  return { byName, report, keeping: keeping.toSorted() };
}

test("a worker.conf of tunasync becomes a fleet file that can be applied", async () => {
  const { byName, report, keeping } = await importAndTry(["tunasync", "tunasync/worker.conf"]);
  expect(Object.keys(byName).toSorted()).toEqual([
    "archive",
    "child-one",
    "debian",
    "gnu",
    "kernel",
  ]);
  expect(keeping).toEqual(["archive"]);
  expect(byName["gnu"]).toMatchObject({
    upstream: "rsync://mirrors.ocf.berkeley.edu/gnu/",
    schedule: "0 */2 * * *",
    maxAttempts: 3,
    rsync: { bandwidthKiBps: 20_480 },
  });
  expect(byName["debian"]).toMatchObject({
    rsync: {
      indexesLast: "debian",
      ipVersion: 6,
      filters: expect.arrayContaining([{ action: "exclude", pattern: "*.iso" }]),
    },
  });
  expect(byName["kernel"]!.rsync.maxDelete).toBe(5000);
  expect(byName["child-one"]!.path).toBe("sub/child-one");
  expect(report).toMatch(/Not possible.*adobe-fonts\n.*runs rsync and no programs/s);
  expect(report).toMatch(/centos-vault\n.*not-here\.txt": its rules cannot be read here/);
});

test("a fault in a worker.conf is told by its line, which is not shown", async () => {
  const path = join(await temporaryDirectory(), "worker.conf");
  await writeFile(path, '[[mirrors]]\npassword = "hunter2"\nupstream = rsync://joe:hunter2@h/m/\n');
  const run = promisify(execFile)(process.execPath, [program, "import", "tunasync", path]);
  const { stderr } = (await run.catch((error: unknown) => error)) as { stderr: string };
  expect(stderr).toMatch(/cannot understand .*worker\.conf: .*\(line 3, column \d+\)\n$/);
  expect(stderr).not.toContain("hunter");
});

test("files of ftpsync become a fleet file that can be applied", async () => {
  const { byName, report, keeping } = await importAndTry([
    "ftpsync",
    ...["ftpsync", "ftpsync-security", "ftpsync-ports"].map((name) => `ftpsync/${name}.conf`),
    "--schedule",
    "17 */6 * * *",
    "--mirror-name",
    "old.example.org",
  ]);
  expect(Object.keys(byName).toSorted()).toEqual(["debian", "debian-security"]);
  expect(keeping).toEqual([]);
  expect(byName["debian"]).toMatchObject({
    upstream: "rsyncs://syncproxy.eu.debian.org:1873/debian/",
    schedule: "17 */6 * * *",
    trace: { style: "debian" },
    rsync: { indexesLast: "debian", maxDelete: 40_000, bandwidthKiBps: 50_000 },
  });
  const { filters } = byName["debian"]!.rsync;
  const at = (pattern: string) => filters.findIndex((filter) => filter.pattern === pattern);
  expect(at("/pool/**/*_amd64.deb")).toBeLessThan(at("/pool/**/*_*.deb"));
  expect(filters[at("/project/trace/old.example.org")]?.action).toBe("exclude");
  expect(byName["debian-security"]).toMatchObject({ rsync: { maxDelete: 1000 } });
  expect(report).toMatch(/debian-ports\n.*not ssh/);
  expect(report).toContain("--login-user");
});

test("directories of yuki become a fleet file that can be applied, the later over the earlier", async () => {
  const { byName, report, keeping } = await importAndTry([
    "yuki",
    "yuki/common",
    "yuki/override",
    "--zone",
    "Asia/Shanghai",
  ]);
  expect(Object.keys(byName).toSorted()).toEqual(["centos", "debian", "docker-ce", "kept"]);
  expect(keeping).toEqual(["kept"]);
  expect(byName["centos"]).toMatchObject({
    schedule: "17 3-23/4 * * *",
    zone: "Asia/Shanghai",
    maxAttempts: 3,
    rsync: { maxDelete: 200_000, bandwidthKiBps: 30_000 },
  });
  expect(byName["kept"]!.upstream).toBe("rsyncs://kept.example.org/kept/");
  expect(report).toMatch(/bioc\n.*ssh/);
  expect(report).toMatch(/pypi\n.*it is no rsync/);
});

test("a crontab and the scripts that it starts become a fleet file that can be applied", async () => {
  const { byName, report, keeping } = await importAndTry([
    "crontab",
    "crontab/cron.d/mirrors",
    "crontab/bin/sync-fedora",
    "crontab/bin/sync-small",
    "--zone",
    "UTC",
  ]);
  expect(Object.keys(byName).toSorted()).toEqual(
    [
      "cpan",
      "ctan",
      "epel",
      "gnu",
      "linux",
      "putty",
      "random",
      "secondary",
      "ubuntu",
      "vim",
    ].toSorted(),
  );
  expect(keeping).toEqual(["cpan", "ctan", "random", "secondary"]);
  expect(byName["gnu"]).toMatchObject({
    schedule: "17 */4 * * *",
    zone: "America/Los_Angeles",
    rsync: { maxDelete: 2000 },
  });
  expect(byName["linux"]).toMatchObject({ path: "fedora/linux", schedule: "5 * * * *" });
  expect(byName["ubuntu"]).toMatchObject({ rsync: { delete: true, indexesLast: "debian" } });
  expect(report).toMatch(/uploads\n.*--ignore-existing/);
  expect(report).toMatch(/logrotate.*\n.*starts no rsync/);
});
