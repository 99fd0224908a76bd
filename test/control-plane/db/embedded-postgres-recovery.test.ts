import { mkdir, readdir, stat, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { expect, test } from "vitest";
import { isThere, readIfThere } from "../../../control-plane/db/files.ts";
import {
  endOwner,
  ownedServer,
  query,
  serverPid,
  spawnOwner,
  startPostgres,
  temporaryDirectory,
} from "../../helpers/postgres.ts";

test("a server that was killed is noticed, and the next start recovers what was committed", async () => {
  const directory = join(await temporaryDirectory(), "postgres");
  const first = await startPostgres({ directory });
  await query(first.connection, "create table kept as select 42 as value");
  process.kill(await serverPid(directory), "SIGKILL");
  expect(await first.exited).toEqual({ code: null, signal: "SIGKILL" });
  await first.stop();
  const second = await startPostgres({ directory });
  expect(await query(second.connection, "select value from kept")).toEqual([{ value: 42 }]);
});

test("processes that outlive a killed server for a while are waited for", async () => {
  const directory = join(await temporaryDirectory(), "postgres");
  const first = await startPostgres({ directory });
  // A backend that computes does not look up to see that its server is gone.
  const busy = query(first.connection, "select count(*) from generate_series(1, 8000000) a").catch(
    (error: Error) => error,
  );
  await expect
    .poll(() =>
      query(first.connection, "select 1 from pg_stat_activity where query ~ '^select count'"),
    )
    .toHaveLength(1);
  process.kill(await serverPid(directory), "SIGKILL");
  await first.stop();
  const second = await startPostgres({ directory });
  expect(await query(second.connection, "select 1 as alive")).toEqual([{ alive: 1 }]);
  await busy;
});

test("the server of a control plane that was killed is replaced, with its data", async () => {
  const base = await temporaryDirectory();
  const directory = join(base, "postgres");
  const child = spawnOwner({ directory, systemDirectory: join(base, "system") });
  const orphan = await ownedServer(child);
  await query(orphan.connection, "create table kept as select 42 as value");
  await endOwner({ child, signal: "SIGKILL" });
  const server = await startPostgres({ directory });
  expect(await query(server.connection, "select value from kept")).toEqual([{ value: 42 }]);
  expect(await serverPid(directory)).not.toBe(orphan.pid);
  // A zombie, which only its new parent can remove, has an empty command line.
  expect((await readIfThere(`/proc/${orphan.pid}/cmdline`)) || "").toBe("");
});

test("a control plane killed while it made the database leaves nothing that the next start trips over", async () => {
  const base = await temporaryDirectory();
  const directory = join(base, "postgres");
  const child = spawnOwner({ directory, systemDirectory: join(base, "system") });
  await expect.poll(() => unfinished(directory), { timeout: 20_000, interval: 5 }).toHaveLength(1);
  await endOwner({ child, signal: "SIGKILL" });
  expect(await isThere(directory)).toBe(false);
  const { connection } = await startPostgres({ directory });
  expect(await query(connection, "select 1 as alive")).toEqual([{ alive: 1 }]);
  expect(await unfinished(directory)).toEqual([]);
});

test("a half-made database that looks whole is removed, not used", async () => {
  const base = await temporaryDirectory();
  const directory = join(base, "postgres");
  await mkdir(`${directory}.new-abcdef`);
  await writeFile(join(`${directory}.new-abcdef`, "PG_VERSION"), "18\n");
  await mkdir(`${directory}.new`);
  const { connection } = await startPostgres({ directory });
  expect(await query(connection, "select 1 as alive")).toEqual([{ alive: 1 }]);
  expect(await unfinished(directory)).toEqual([]);
  expect((await stat(`${directory}.new`)).isDirectory()).toBe(true);
});

async function unfinished(directory: string): Promise<string[]> {
  const names = await readdir(dirname(directory));
  return names.filter((name) => name.startsWith(`${basename(directory)}.new-`));
}
