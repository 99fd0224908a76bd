import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { startEmbeddedPostgres } from "../../../control-plane/db/embedded-postgres.ts";
import { isThere } from "../../../control-plane/db/files.ts";
import { stopLeftoverPostmaster } from "../../../control-plane/db/leftover-postmaster.ts";
import { findBinaryPackage, usableBinaries } from "../../../control-plane/db/postgres-binaries.ts";
import { cleanEnvironment } from "../../../control-plane/db/run-as.ts";
import { query, startPostgres, temporaryDirectory } from "../../helpers/postgres.ts";

const ctx = { log: () => {} };

let base: string;
let cluster: string;

beforeAll(async () => {
  base = await mkdtemp(join(tmpdir(), "mirrorfleet-test-"));
  await chmod(base, 0o711);
  cluster = join(base, "postgres");
  await (await startEmbeddedPostgres(ctx, { directory: cluster })).stop();
});

afterAll(() => rm(base, { recursive: true, force: true }));

test("a server whose control plane is gone is shut down", async () => {
  const server = await startServer({ args: ["-c", "mirrorfleet.owner=999999999"] });
  await stopLeftoverPostmaster(ctx, { cluster });
  expect((await server.exited)[0]).toBe(0);
  expect(await isThere(join(cluster, "postmaster.pid"))).toBe(false);
});

test("a server whose control plane lives is left alone", async () => {
  const server = await startServer({ args: ["-c", `mirrorfleet.owner=${process.pid}`] });
  await expect(stopLeftoverPostmaster(ctx, { cluster })).rejects.toMatchObject({
    code: "conflict",
    message: expect.stringContaining(
      `${cluster} is in use by another mirrorfleet control plane (process ${process.pid})`,
    ),
  });
  expect(server.child.exitCode).toBe(null);
  expect(await query(server.connection, "select 1 as alive")).toEqual([{ alive: 1 }]);
});

test("a server that an administrator started by hand is left alone", async () => {
  const server = await startServer({ args: [] });
  await expect(stopLeftoverPostmaster(ctx, { cluster })).rejects.toMatchObject({
    code: "conflict",
    message: expect.stringContaining("not started by mirrorfleet"),
  });
  expect(await query(server.connection, "select 1 as alive")).toEqual([{ alive: 1 }]);
});

test("a stale process id that now belongs to another program neither stops the start nor that program", async () => {
  const { uid, gid } = await stat(cluster);
  const other = spawn("sleep", ["600"], { uid, gid, stdio: "ignore", cwd: "/" });
  onTestFinished(() => void other.kill());
  await once(other, "spawn");
  await writeFile(join(cluster, "postmaster.pid"), `${other.pid}\n${cluster}\n1\n5432\n/\n\n0 0\n`);
  const server = await startPostgres({ directory: cluster });
  expect(await query(server.connection, "select 1 as alive")).toEqual([{ alive: 1 }]);
  expect(other.exitCode ?? other.signalCode).toBe(null);
});

async function startServer({ args }: { args: string[] }) {
  const { uid, gid } = await stat(cluster);
  const account = process.getuid?.() === uid ? undefined : { uid, gid };
  const { postgres } = await usableBinaries(ctx, {
    source: await findBinaryPackage(),
    account,
    systemDirectory: join(await temporaryDirectory(), "system"),
  });
  const options = ["-D", cluster, "-k", cluster, "-c", "listen_addresses=", ...args];
  const child = spawn(postgres, options, { stdio: "ignore", env: cleanEnvironment, ...account });
  onTestFinished(async () => {
    if (child.exitCode !== null) return;
    child.kill("SIGINT");
    await exited;
  });
  const exited = once(child, "exit");
  const statusLine = async () =>
    (await readFile(join(cluster, "postmaster.pid"), "utf8")).split("\n")[7]?.trim();
  await expect.poll(statusLine, { timeout: 20_000 }).toBe("ready");
  const connection = { host: cluster, port: 5432, database: "mirrorfleet", user: "mirrorfleet" };
  return { child, exited, connection };
}
