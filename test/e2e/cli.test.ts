import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { chmod, mkdir, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, onTestFinished, test } from "vitest";
import { startUpstream } from "../../demo/fleet.ts";
import { freePort, type Program, stopPrograms } from "../../demo/processes.ts";
import { temporaryDirectory } from "../helpers/directory.ts";
import { joinAgent, startControlPlaneProgram, until } from "../helpers/programs.ts";

const program = fileURLToPath(new URL("../../cli/main.ts", import.meta.url));

type Ended = { status: number; stdout: string; stderr: string };

/** Runs the real command line; answers how it ended. */
async function run(
  args: string[],
  { env, input = "" }: { env: Record<string, string>; input?: string },
): Promise<Ended> {
  const running = promisify(execFile)(process.execPath, [program, ...args], {
    env: { PATH: process.env["PATH"]!, HOME: "/nonexistent", NO_COLOR: "1", ...env },
  });
  running.child.stdin!.end(input);
  return running.then(
    ({ stdout, stderr }) => ({ status: 0, stdout, stderr }),
    (error: { code: number; stdout: string; stderr: string }) => ({
      status: error.code,
      stdout: error.stdout,
      stderr: error.stderr,
    }),
  );
}

async function makeFleet() {
  const directory = await temporaryDirectory();
  await chmod(directory, 0o711);
  const controlPlane = await startControlPlaneProgram({ directory });
  const { url, token } = controlPlane;
  const cli = async (...args: string[]) =>
    run(args, { env: { MIRRORFLEET_URL: url, MIRRORFLEET_TOKEN: token } });
  const tree = join(directory, "upstream");
  await mkdir(tree);
  const track = (started: Program) => onTestFinished(() => stopPrograms([started]));
  const upstream = await startUpstream({ directory, track }, { tree });
  const daemonPort = await freePort();
  const env = { MIRRORFLEET_DAEMON_PORT: String(daemonPort) };
  const join_ = (host: string, source: string) =>
    joinAgent(controlPlane, { directory, host, source, env });
  return { directory, controlPlane, cli, tree, upstream, daemonPort, join: join_ };
}

const ok = (ended: Ended) => {
  expect(ended.stderr).toBe("");
  expect(ended.status).toBe(0);
  return ended.stdout;
};

test("an administrator's day: invite, add, apply, sync with progress, cancel, retry, read the log", async () => {
  const { directory, cli, tree, upstream, daemonPort, join: joinHost } = await makeFleet();
  expect(
    ok(await cli("host", "invite", "ftp9", "--role", "ftp", "--address", "192.0.2.9")),
  ).toMatch(
    /no line that also installs the agent: .*MIRRORFLEET_PACKAGES is not set[^]*MIRRORFLEET_ENROLMENT_TOKEN=mfe_\S+ mirrorfleet-agent join --control-plane http/,
  );
  const master = await joinHost("master", upstream);
  const ftp = await joinHost("ftp1", `rsync://127.0.0.1:${daemonPort}/`);
  master.run();
  ftp.run();
  ok(await cli("host", "revoke", "ftp9"));
  for (let index = 0; index < 8; index++)
    await writeFile(join(tree, `file-${index}`), randomBytes(1024 * 1024));
  ok(
    await cli(
      "project",
      "add",
      "debian",
      "--upstream",
      upstream,
      "--set",
      "rsync.bandwidthKiBps=256",
    ),
  );
  ok(await cli("project", "add", "hosted", "--description", "uploaded here"));
  expect(ok(await cli("project", "list"))).toMatch(/hosted +hosted here/);

  const fleetFile = join(directory, "fleet.yaml");
  await writeFile(
    fleetFile,
    `projects:\n${Array.from({ length: 100 }, (_, index) => `  - {name: p${index}, upstream: "rsync://a.example/p${index}"}`).join("\n")}\n`,
  );
  expect(ok(await cli("apply", "-f", fleetFile, "--dry-run"))).toContain("dry run: 100 to make");
  expect(ok(await cli("apply", "-f", fleetFile))).toContain("applied: 100 to make");
  expect(ok(await cli("apply", "-f", fleetFile))).toContain("0 to make, 0 to change");

  const dry = ok(await cli("project", "dry-run", "debian", "--json"));
  await until("the dry run is over", async () =>
    /state: +succeeded/.test(ok(await cli("run", "show", JSON.parse(dry).id))),
  );
  const followedDry = await cli("project", "dry-run", "debian", "--follow");
  expect(followedDry.stdout).toMatch(
    /nothing was changed\na sync would leave: 9 created, 0 changed, 0 deleted; files of 8.4 MB/,
  );
  expect(followedDry.stdout).toContain("+ file-0");
  expect(existsSync(join(master.root, "debian"))).toBe(false);

  const slow = JSON.parse(ok(await cli("project", "sync", "debian", "--json"))).id;
  await until("it is syncing", async () => ok(await cli("run", "show", slow)).includes("leased"));
  ok(await cli("run", "cancel", slow));
  await until("it is cancelled", async () =>
    /state: +cancelled/.test(ok(await cli("run", "show", slow))),
  );
  expect(ok(await cli("logs", slow))).toContain("cancelled by an operator");

  ok(await cli("project", "edit", "debian", "--set", "rsync.bandwidthKiBps=null"));
  const retry = await cli("run", "retry", slow, "--follow", "--json");
  const { id: retried, state } = JSON.parse(ok(retry));
  expect(state).toBe("succeeded");
  const followed = await cli("project", "sync", "debian", "--follow");
  expect(followed.status).toBe(0);
  expect(followed.stderr).toMatch(/master +█+/);
  expect(followed.stdout).toContain("succeeded");
  expect(ok(await cli("logs", retried, "-f"))).toMatch(/==> master[\s\S]+==> ftp1/);
  expect(ok(await cli("status"))).toContain("2 of 2 in contact");

  ok(await cli("project", "edit", "debian", "--set", "rsync.maxDelete=5"));
  for (let index = 1; index < 8; index++) await rm(join(tree, `file-${index}`));
  const held = await cli("project", "sync", "debian", "--follow");
  expect(held.status).toBe(1);
  expect(existsSync(join(master.root, "debian/file-7"))).toBe(true);
  const [, task] = /mirrorfleet held approve (\S+)/.exec(held.stdout)!;
  const approved = await cli("held", "approve", task!, "--follow");
  expect([approved.status, approved.stdout]).toEqual([0, expect.stringMatching(/: succeeded$/m)]);
  expect(await readdir(join(ftp.root, "debian"))).toEqual(["file-0"]);
});

test("exit statuses tell one failure from another, and errors say the cure", async () => {
  const { cli, controlPlane } = await makeFleet();
  const { url } = controlPlane;
  const statusOf = async (...args: string[]) => (await cli(...args)).status;
  expect(await statusOf("project", "show", "nope")).toBe(4);
  expect(await statusOf("project", "add", "x", "--upstream", "http://x")).toBe(6);
  expect(await statusOf("project", "show")).toBe(2);
  expect(await statusOf("nonsense")).toBe(2);
  const wrong = await run(["status"], {
    env: { MIRRORFLEET_URL: url, MIRRORFLEET_TOKEN: "mfo_wrong" },
  });
  expect(wrong).toMatchObject({ status: 3, stdout: "" });
  const away = await run(["status"], {
    env: { MIRRORFLEET_URL: "http://127.0.0.1:1", MIRRORFLEET_TOKEN: "mfo_x" },
  });
  expect(away).toMatchObject({ status: 7 });
  expect(away.stderr).toContain("cannot reach http://127.0.0.1:1");
  const lost = await run(["status"], { env: {} });
  expect(lost.stderr).toContain('run "mirrorfleet login URL"');
});

test("login keeps a token that works in a 0600 file, and one that does not is not kept", async () => {
  const { directory, controlPlane } = await makeFleet();
  const { url, token } = controlPlane;
  const env = { XDG_CONFIG_HOME: join(directory, "config") };
  const file = join(directory, "config", "mirrorfleet", "credentials.json");
  const refused = await run(["login", url], { env, input: "mfo_wrong\n" });
  expect(refused.status).toBe(3);
  expect(refused.stderr).toContain("the file admin-token of the control plane's data directory");
  await expect(readFile(file)).rejects.toThrow("ENOENT");
  expect(await run(["login", url], { env, input: `${token}\n` })).toMatchObject({ status: 0 });
  expect((await stat(file)).mode & 0o777).toBe(0o600);
  expect((await run(["project", "list"], { env })).status).toBe(0);
  await run(["logout"], { env });
  expect((await run(["project", "list"], { env })).status).toBe(3);
});

test("what may follow is completed: commands, and options once a dash is typed", async () => {
  const complete = async (...words: string[]) =>
    (await run(["__complete", "--", ...words], { env: {} })).stdout.trim().split("\n");
  expect(await complete("pro")).toEqual(["project"]);
  expect(await complete("project", "re")).toEqual(["remove", "resume", "reseed"]);
  expect(await complete("project", "sync", "debian", "--f")).toEqual(["--follow"]);
  for (const shell of ["bash", "zsh", "fish"])
    expect((await run(["completion", shell], { env: {} })).stdout).toContain("mirrorfleet");
  expect((await run(["completion", "tcsh"], { env: {} })).status).toBe(2);
});

test("what is mistyped changes nothing and shows no insides: numbers, YAML, an edited text", async () => {
  const { cli, controlPlane, directory } = await makeFleet();
  const env = { MIRRORFLEET_URL: controlPlane.url, MIRRORFLEET_TOKEN: controlPlane.token };
  ok(await cli("host", "invite", "master", "--role", "master", "--address", "192.0.2.1"));
  ok(await cli("project", "add", "debian", "--upstream", "rsync://a.example/debian/"));
  ok(await cli("settings", "--upstream-parallel", "2", "--upstream-parallel-of", "a.example=1"));
  for (const args of [
    ["settings", "--upstream-parallel", "many"],
    ["host", "set", "master", "--parallel", "lots"],
    ["project", "sync", "debian", "--approve-deletions", "all"],
    ["logs", "x", "--attempt", "first"],
  ])
    expect([args, (await cli(...args)).status]).toEqual([args, 2]);
  expect(JSON.parse(ok(await cli("settings", "--json")))).toMatchObject({
    upstreamParallel: 2,
    upstreamParallelOf: { "a.example": 1 },
  });
  const yaml = await cli("project", "edit", "debian", "--set", "rsync={");
  expect(yaml.status).toBe(6);
  expect(yaml.stderr).not.toContain("node_modules");
  const editor = `sh -c 'echo "descriptoin: mine" >> $1' edit`;
  const edited = await run(["project", "edit", "debian"], {
    env: { ...env, EDITOR: editor, TMPDIR: directory },
  });
  expect(edited.status).toBe(6);
  expect(edited.stderr).toContain('did you mean "description"');
  const kept = /your text is kept in (\S+)/.exec(edited.stderr)?.[1];
  expect(await readFile(kept!, "utf8")).toContain("descriptoin: mine");
});

test("an upstream's password comes from standard input and never stands in an argument", async () => {
  const { cli, controlPlane } = await makeFleet();
  const env = { MIRRORFLEET_URL: controlPlane.url, MIRRORFLEET_TOKEN: controlPlane.token };
  ok(await cli("host", "invite", "master", "--role", "master", "--address", "192.0.2.1"));
  const add = ["project", "add", "debian", "--upstream", "rsync://a.example/debian/"];
  const argued = await cli(...add, "--set", "login.user=me", "--set", "login.password=hunter2");
  expect(argued).toMatchObject({ status: 6, stdout: "" });
  expect(argued.stderr).toContain("--login-user");
  const made = await run([...add, "--login-user", "me"], { env, input: "hunter2\n" });
  expect(made.status).toBe(0);
  expect(made.stdout).not.toContain("hunter2");
  expect(JSON.parse(ok(await cli("project", "show", "debian", "--json"))).login).toEqual({
    user: "me",
    host: "a.example",
    passwordSet: true,
  });
});
