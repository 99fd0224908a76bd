import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { chmod, mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import postgres from "postgres";
import { expect, test } from "vitest";
import { compareTrees } from "../../demo/compare.ts";
import { freePort } from "../../demo/processes.ts";
import { createTestDatabase, type TestConnection } from "../helpers/database.ts";
import { temporaryDirectory } from "../helpers/directory.ts";
import { joinAgent, start, startControlPlaneProgram, until } from "../helpers/programs.ts";

const password = "correct-horse-battery-staple";

/** An upstream that asks for a password, as a real one may. */
async function startProtectedUpstream(directory: string): Promise<{ tree: string; url: string }> {
  const tree = join(directory, "upstream");
  await mkdir(tree);
  for (let index = 0; index < 3; index++)
    await writeFile(join(tree, `file-${index}`), randomBytes(1024 * 1024));
  const port = await freePort();
  const secrets = join(directory, "upstream.secrets");
  await writeFile(secrets, `mirror:${password}\n`, { mode: 0o600 });
  const config = join(directory, "upstream.conf");
  const owner = process.getuid?.() === 0 ? "uid = root\ngid = root\n" : "";
  await writeFile(
    config,
    `address = 127.0.0.1\nport = ${port}\nuse chroot = no\n${owner}[upstream]\npath = ${tree}\nread only = yes\nauth users = mirror\nsecrets file = ${secrets}\n`,
  );
  start({
    name: "upstream",
    command: "rsync",
    args: ["--daemon", "--no-detach", `--config=${config}`],
    env: {},
    logFile: join(directory, "upstream.log"),
  });
  return { tree, url: `rsync://127.0.0.1:${port}/upstream/` };
}

/** Everything that the database holds, as text. */
async function dump(connection: TestConnection): Promise<string> {
  const sql = postgres({ ...connection, max: 1 });
  try {
    const tables = await sql<{ name: string }[]>`
      select tablename as name from pg_tables where schemaname = 'public'`;
    const rows = await Promise.all(
      tables.map(({ name }) => sql<{ row: string }[]>`select t::text as row from ${sql(name)} t`),
    );
    return rows
      .flat()
      .map(({ row }) => row)
      .join("\n");
  } finally {
    await sql.end({ timeout: 1 });
  }
}

/** All files below a directory that are text of programs: logs, spools, state. */
async function filesBelow(directory: string): Promise<string> {
  const names = await readdir(directory, { recursive: true, withFileTypes: true });
  const texts = await Promise.all(
    names
      .filter((entry) => entry.isFile())
      .map((entry) => readFile(join(entry.parentPath, entry.name), "latin1")),
  );
  return texts.join("\n");
}

test("an upstream's password gets a real pull done, and stands in no dump, log, process list or answer", async () => {
  const directory = await temporaryDirectory();
  await chmod(directory, 0o711);
  const database = await createTestDatabase();
  const { host, user, database: name } = database.connection;
  const controlPlane = await startControlPlaneProgram({
    directory,
    env: {
      DATABASE_URL: `postgres://${user}@localhost/${name}?host=${host}`,
      MIRRORFLEET_LOG_LEVEL: "debug",
    },
  });
  const { client } = controlPlane;
  const { tree, url } = await startProtectedUpstream(directory);
  const master = await joinAgent(controlPlane, {
    directory,
    host: "master",
    source: url,
    env: { MIRRORFLEET_DAEMON_PORT: String(await freePort()) },
  });
  master.run();
  const answers: unknown[] = [];
  answers.push(
    await client.createProject({
      name: "debian",
      upstream: url,
      hosts: [],
      login: { user: "mirror", password },
      rsync: { bandwidthKiBps: 1024 },
    }),
  );
  const { id } = await client.syncProject("debian");
  const seen: string[] = [];
  await until("the pull has ended", async () => {
    seen.push(execFileSync("ps", ["-eo", "args"], { encoding: "utf8" }));
    const run = await client.getRun(id);
    answers.push(run);
    return run.finishedAt !== null;
  });
  expect((await client.getRun(id)).state).toBe("succeeded");
  expect(
    (await compareTrees({ expected: tree, actual: join(master.root, "debian") })).differences,
  ).toEqual([]);
  expect(seen.join("\n")).toContain(`rsync://mirror@${new URL(url).host}`);

  answers.push(
    await client.listProjects(),
    await client.listTasks(),
    await client.listAuditEvents(),
    await text(await client.openTaskLog((await client.getRun(id)).tasks[0]!.id)),
  );
  const places = {
    "process list": seen.join("\n"),
    answers: JSON.stringify(answers),
    "control plane's log": await readFile(controlPlane.logFile, "utf8"),
    "agent's log": await master.log(),
    "agent's state": await filesBelow(master.stateDir),
    "control plane's data": await filesBelow(join(directory, "data")),
    database: await dump(database.connection),
  };
  for (const [place, found] of Object.entries(places)) {
    expect(found.length, place).toBeGreaterThan(0);
    expect(found.includes(password), place).toBe(false);
  }
  await database.drop();
});

test("a wrong password fails the run at once, says so, and tries no further", async () => {
  const directory = await temporaryDirectory();
  await chmod(directory, 0o711);
  const controlPlane = await startControlPlaneProgram({ directory });
  const { client } = controlPlane;
  const { url } = await startProtectedUpstream(directory);
  const master = await joinAgent(controlPlane, {
    directory,
    host: "master",
    source: url,
    env: { MIRRORFLEET_DAEMON_PORT: String(await freePort()) },
  });
  master.run();
  const login = { user: "mirror", password: "wrong-password" };
  await client.createProject({ name: "debian", upstream: url, hosts: [], login });
  const { id } = await client.syncProject("debian");
  const run = await until("it has ended", async () => {
    const found = await client.getRun(id);
    return found.finishedAt === null ? null : found;
  });
  expect(run.tasks[0]).toMatchObject({
    state: "failed",
    attempt: 1,
    result: { message: expect.stringContaining("auth failed") },
  });
  expect(JSON.stringify(run)).not.toContain(login.password);
});
