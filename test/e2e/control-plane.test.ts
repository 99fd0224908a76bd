import { chmod, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { freePort, stopPrograms } from "../../demo/processes.ts";
import { temporaryDirectory } from "../helpers/directory.ts";
import { createTestDatabase } from "../helpers/database.ts";
import { exitOf, killHard, start, startControlPlaneProgram, until } from "../helpers/programs.ts";

async function makePlace() {
  const directory = await temporaryDirectory();
  await chmod(directory, 0o711);
  return directory;
}

test("the first start makes an admin token in a 0600 file and prints its path, never the token", async () => {
  const directory = await makePlace();
  const { token, logFile, client } = await startControlPlaneProgram({ directory });
  const file = join(directory, "data", "admin-token");
  expect((await stat(file)).mode & 0o777).toBe(0o600);
  const output = await readFile(logFile, "utf8");
  expect(output).toContain(file);
  expect(output).not.toContain(token);
  const { items } = await client.listAuditEvents();
  expect(items).toMatchObject([{ actor: "control plane", action: "createToken" }]);
  expect(JSON.stringify(items)).not.toContain(token);
});

test.each(["SIGTERM", "SIGKILL"] as const)(
  "after %s a second start keeps hosts, token and data",
  async (signal) => {
    const directory = await makePlace();
    const first = await startControlPlaneProgram({ directory });
    await first.client.createHost({ name: "master", roles: ["master"], addresses: ["192.0.2.1"] });
    if (signal === "SIGKILL") await killHard(first.program);
    else {
      first.program.child.kill(signal);
      expect(await exitOf(first.program)).toBe(0);
    }
    const second = await startControlPlaneProgram({ directory, name: "second" });
    expect(second.token).toBe(first.token);
    expect(await second.client.listHosts()).toMatchObject([{ name: "master" }]);
  },
);

test("a second control plane on the same data directory is refused with the reason, and harms nothing", async () => {
  const directory = await makePlace();
  const { client } = await startControlPlaneProgram({ directory });
  const logFile = join(directory, "second.log");
  const second = start({
    name: "second",
    command: process.execPath,
    args: ["control-plane/main.ts"],
    env: {
      MIRRORFLEET_DATA: join(directory, "data"),
      MIRRORFLEET_LISTEN: `127.0.0.1:${await freePort()}`,
    },
    logFile,
  });
  expect(await exitOf(second)).toBe(1);
  expect(await readFile(logFile, "utf8")).toMatch(/is in use by|already|another/);
  expect(await client.listHosts()).toEqual([]);
});

test.each([
  ["MIRRORFLEET_LISTEN", "8420", "must be host:port"],
  ["MIRRORFLEET_LISTEN", "127.0.0.1:70000", "must be host:port"],
  ["DATABASE_URL", "mysql://x", "must be a Postgres URL"],
  ["MIRRORFLEET_SECRET", "short", "32 random bytes"],
  ["MIRRORFLEET_DATA", import.meta.filename, "cannot use the data directory"],
])("%s=%s ends with status 78 and the variable's name", async (name, value, message) => {
  const directory = await makePlace();
  const logFile = join(directory, "log");
  const program = start({
    name: "control plane",
    command: process.execPath,
    args: ["control-plane/main.ts"],
    env: { MIRRORFLEET_DATA: join(directory, "data"), [name]: value },
    logFile,
  });
  expect(await exitOf(program)).toBe(78);
  const output = await readFile(logFile, "utf8");
  expect(output).toContain(name);
  expect(output).toContain(message);
});

test("a database of one's own that cannot be used ends with status 1 and the cure, never its password", async () => {
  const directory = await makePlace();
  const database = await createTestDatabase({ migrated: false });
  const { host } = database.connection;
  for (const [url, why] of [
    [`postgres://u:geheim@127.0.0.1:${await freePort()}/x`, "ECONNREFUSED"],
    [`postgres://mirrorfleet:geheim@localhost/nowhere?host=${host}`, '"nowhere" does not exist'],
  ] as const) {
    const logFile = join(directory, why.replaceAll(/\W/g, ""));
    const program = start({
      name: "control plane",
      command: process.execPath,
      args: ["control-plane/main.ts"],
      env: { MIRRORFLEET_DATA: join(directory, "data"), DATABASE_URL: url },
      logFile,
    });
    expect(await exitOf(program)).toBe(1);
    const output = await readFile(logFile, "utf8");
    expect(output).toContain(why);
    expect(output).toContain("check that it runs, that DATABASE_URL names");
    expect(output).not.toMatch(/geheim|^ +at /m);
  }
  await database.drop();
});

test("only the control plane that made the first admin token says where it is", async () => {
  const [one, other] = [await makePlace(), await makePlace()];
  const database = await createTestDatabase({ migrated: false });
  const { host, user, database: name } = database.connection;
  const env = {
    DATABASE_URL: `postgres://${user}@localhost/${name}?host=${host}`,
    MIRRORFLEET_SECRET: Buffer.alloc(32, 7).toString("base64"),
  };
  const first = await startControlPlaneProgram({ directory: one, env });
  expect(await readFile(first.logFile, "utf8")).toContain("first admin token in:");
  const logFile = join(other, "log");
  const second = start({
    name: "second",
    command: process.execPath,
    args: ["control-plane/main.ts"],
    env: {
      ...env,
      MIRRORFLEET_DATA: join(other, "data"),
      MIRRORFLEET_LISTEN: `127.0.0.1:${await freePort()}`,
    },
    logFile,
  });
  await until("the second says where its data is", async () =>
    (await readFile(logFile, "utf8")).includes("data directory:"),
  );
  await stopPrograms([second, first.program]);
  expect(await readFile(logFile, "utf8")).not.toContain("admin token");
  await database.drop();
});

test("task keys are rotated on the host while the control plane rests, and refused with the way while it runs", async () => {
  const directory = await makePlace();
  const rotate = async (name: string) => {
    const logFile = join(directory, `${name}.log`);
    const program = start({
      name,
      command: process.execPath,
      args: ["control-plane/main.ts", "keys", "rotate"],
      env: { MIRRORFLEET_DATA: join(directory, "data") },
      logFile,
    });
    return { status: await exitOf(program), output: await readFile(logFile, "utf8") };
  };
  const { program } = await startControlPlaneProgram({ directory });
  const refused = await rotate("refused");
  expect(refused.status).toBe(1);
  expect(refused.output).toContain('use "mirrorfleet keys rotate"');
  program.child.kill("SIGTERM");
  await exitOf(program);
  const rotated = await rotate("rotated");
  expect(rotated.status).toBe(0);
  expect(rotated.output).toMatch(/in use[\s\S]+to come/);
  const again = await startControlPlaneProgram({ directory, name: "again" });
  expect((await again.client.listTaskKeys()).map(({ state }) => state)).toEqual([
    "in use",
    "to come",
  ]);
});
