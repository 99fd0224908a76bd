import { execFileSync, spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { chmod, mkdir, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { sql } from "drizzle-orm";
import { pino } from "pino";
import postgres from "postgres";
import { expect, onTestFinished, test, vi } from "vitest";
import { encryptAtRest } from "../../../control-plane/auth/at-rest.ts";
import { deriveSecrets } from "../../../control-plane/auth/secrets.ts";
import { openFleet } from "../../../control-plane/auth/task-keys.ts";
import { readConfig } from "../../../control-plane/config.ts";
import { connect } from "../../../control-plane/db/connect.ts";
import { isThere } from "../../../control-plane/db/files.ts";
import { examine } from "../../../control-plane/doctor/examine.ts";
import { freePort } from "../../../demo/processes.ts";
import { createTestDatabase, type TestConnection } from "../../helpers/database.ts";
import { isRoot, temporaryDirectory } from "../../helpers/postgres.ts";
import { start } from "../../helpers/programs.ts";

const secret = randomBytes(32);
const urlOf = ({ user, database, host }: TestConnection) =>
  `postgres://${user}@localhost/${database}?host=${host}`;

/** What the doctor says, a line for each name. */
async function ask(environment: Record<string, string>) {
  const lines: string[] = [];
  const good = await examine({
    config: readConfig(environment),
    log: pino({ level: "silent" }),
    print: (line) => lines.push(line),
  });
  return { good, text: lines.join("\n") };
}

/** A database in use, and a data directory with its secret; `said` is what the doctor then says. */
async function makePlace() {
  const database = await createTestDatabase();
  onTestFinished(database.drop);
  const data = await temporaryDirectory();
  const secretFile = join(data, "secret");
  await writeFile(secretFile, secret.toString("base64"), { mode: 0o600 });
  const admin = postgres({ ...database.connection, max: 1 });
  onTestFinished(() => admin.end({ timeout: 1 }));
  const secrets = deriveSecrets({ secret });
  const { db, close } = connect({ connection: database.connection, max: 1 });
  onTestFinished(close);
  await openFleet({ db, now: () => sql`now()`, secrets });
  const environment = {
    MIRRORFLEET_DATA: data,
    MIRRORFLEET_LISTEN: `127.0.0.1:${await freePort()}`,
    DATABASE_URL: urlOf(database.connection),
  };
  const said = (more: Record<string, string> = {}) => ask({ ...environment, ...more });
  return { ...database, data, secretFile, admin, secrets, said };
}

test("everything that is in order is said in a line each, and a database that loses commits is not", async () => {
  const { said } = await makePlace();
  const { good, text } = await said();
  expect(text.replaceAll(/: .*/g, "").split("\n")).toEqual([
    "ok    data directory",
    "ok    disk",
    "ok    address",
    "ok    packages",
    "ok    database",
    "ok    migrations",
    // The tests' own server is set for speed.
    "FAIL  durability",
    "ok    connections",
    "ok    keys",
    "ok    clock",
    "ok    notifications",
  ]);
  expect(text).toContain("fsync is off: a crash destroys the database: set fsync = on");
  expect(good).toBe(false);
});

test("a database that is not reached is named with its cure, never with its password", async () => {
  const { said } = await makePlace();
  const port = await freePort();
  const { good, text } = await said({ DATABASE_URL: `postgres://me:s3cret@127.0.0.1:${port}/x` });
  expect(good).toBe(false);
  expect(text).toMatch(/FAIL {2}database: .*ECONNREFUSED.*is Postgres running/);
  expect(text).not.toContain("s3cret");
});

test("a database that is not there, or that its user may not write to, is told apart", async () => {
  const { said, connection, admin } = await makePlace();
  const other = await said({ DATABASE_URL: urlOf({ ...connection, database: "nowhere" }) });
  expect(other.text).toContain("make the database: createdb");
  const role = connection.database.replace("test_", "role_");
  await admin.unsafe(`create role ${role} login`);
  onTestFinished(async () => {
    const server = postgres({ ...connection, database: "postgres", max: 1 });
    await server.unsafe(`drop role ${role}`);
    await server.end();
  });
  const guest = await said({ DATABASE_URL: urlOf({ ...connection, user: role }) });
  expect(guest.text).toContain(`"${role}" may not make tables: grant create on database`);
  await admin.unsafe(
    `alter database ${connection.database} set default_transaction_read_only = on`,
  );
  expect((await said()).text).toMatch(/FAIL {2}database: it is read only/);
});

test("migrations that are missing, and ones of a newer version, are told apart", async () => {
  const { said, admin } = await makePlace();
  await admin`update drizzle.__drizzle_migrations set created_at = created_at + 1e12::bigint
    where id = (select max(id) from drizzle.__drizzle_migrations)`;
  expect((await said()).text).toMatch(/FAIL {2}migrations: the schema is of a newer mirrorfleet/);
  await admin`delete from drizzle.__drizzle_migrations
    where id = (select max(id) from drizzle.__drizzle_migrations)`;
  expect((await said()).text).toMatch(/FAIL {2}migrations: 1 of \d+ are not applied: back up/);
});

test("another secret, none, or a key that was damaged is found, and no new secret is made", async () => {
  const { said, secretFile, admin, secrets } = await makePlace();
  const other = await said({ MIRRORFLEET_SECRET: randomBytes(32).toString("base64") });
  expect(other.text).toMatch(/FAIL {2}keys: the secret differs .* restore the file "secret"/);
  const none = { MIRRORFLEET_DATA: await temporaryDirectory() };
  expect((await said(none)).text).toMatch(/FAIL {2}keys: .*secret is missing: restore it/);
  expect(await isThere(join(none.MIRRORFLEET_DATA, "secret"))).toBe(false);
  const encrypted = await encryptAtRest(secrets, { secret: "x", owner: "somebody else" });
  await admin`update task_keys set private_key = ${encrypted}`;
  expect((await said()).text).toMatch(/FAIL {2}keys: a stored secret of task key/);
  await chmod(secretFile, 0o644);
  expect((await said()).text).toMatch(/FAIL {2}data directory: others may read .*chmod 600/);
});

test("too few connections are counted before the control plane runs out of them", async () => {
  const { said, admin, connection } = await makePlace();
  await admin.unsafe(`alter database ${connection.database} connection limit 5`);
  expect((await said()).text).toMatch(
    /FAIL {2}connections: the database is limited to 5, and each control plane uses 12/,
  );
});

test("clocks that differ are found", async () => {
  const { said } = await makePlace();
  vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + 60_000 });
  onTestFinished(() => {
    vi.useRealTimers();
  });
  expect((await said()).text).toMatch(
    /FAIL {2}clock: the database's clock differs by (60|59) seconds/,
  );
});

test("an address that another program has, or that is none of this machine's, is named", async () => {
  const { said } = await makePlace();
  const server = createServer((socket) => socket.end("220 mail\r\n")).listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  const { port } = server.address() as { port: number };
  const taken = await said({ MIRRORFLEET_LISTEN: `127.0.0.1:${port}` });
  expect(taken.text).toMatch(/FAIL {2}address: .*another program has it/);
  const away = await said({ MIRRORFLEET_LISTEN: `192.0.2.1:${port}` });
  expect(away.text).toMatch(/FAIL {2}address: .*no such address on this machine/);
});

test.skipIf(!isRoot)("a disk that is nearly full is named before the database stops", async () => {
  const { said } = await makePlace();
  const data = join(await temporaryDirectory(), "small");
  await mkdir(data);
  execFileSync("mount", ["-t", "tmpfs", "-o", "size=1m,mode=711", "none", data]);
  onTestFinished(() => void execFileSync("umount", [data]));
  await writeFile(join(data, "filler"), randomBytes(1020 * 1024));
  const { text } = await said({ MIRRORFLEET_DATA: data });
  expect(text).toMatch(/FAIL {2}disk: .*small has only 0.0 GB/);
});

const hasPooler = spawnSync("pgbouncer", ["--version"]).status === 0;

test.skipIf(!hasPooler)(
  "a pooler in transaction mode is found by its lost notifications",
  async () => {
    const { said, connection } = await makePlace();
    const directory = await temporaryDirectory({ mode: 0o755 });
    const port = await freePort();
    const config = join(directory, "pgbouncer.ini");
    await writeFile(
      config,
      `[databases]\n* = host=${connection.host} user=${connection.user}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = ${port}\nunix_socket_dir =\nauth_type = any\npool_mode = transaction\n`,
    );
    start({
      name: "pgbouncer",
      command: "pgbouncer",
      args: [...(isRoot ? ["-u", "nobody"] : []), config],
      env: process.env["LD_LIBRARY_PATH"]
        ? { LD_LIBRARY_PATH: process.env["LD_LIBRARY_PATH"] }
        : {},
      logFile: join(directory, "log"),
    });
    const url = `postgres://${connection.user}@127.0.0.1:${port}/${connection.database}`;
    let text = "ECONNREFUSED";
    for (let tries = 0; text.includes("ECONNREFUSED") && tries < 50; tries++) {
      ({ text } = await said({ DATABASE_URL: url }));
      await sleep(100);
    }
    expect(text).toContain("ok    database");
    expect(text).toMatch(/FAIL {2}notifications: .*pooler in transaction mode/);
  },
);
