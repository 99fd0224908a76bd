import { chown, cp, mkdir, readdir, stat, unlink } from "node:fs/promises";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import { isThere } from "../../../control-plane/db/files.ts";
import { findBinaryPackage, usableBinaries } from "../../../control-plane/db/postgres-binaries.ts";
import { unprivilegedAccount } from "../../../control-plane/db/run-as.ts";
import { isRoot, temporaryDirectory } from "../../helpers/postgres.ts";

const ctx = { log: () => {} };

test("a machine without the package is told the cure", async () => {
  await expect(findBinaryPackage({ arch: "pdp11" })).rejects.toMatchObject({
    code: "unavailable",
    message: expect.stringMatching(/linux-pdp11.*DATABASE_URL.*npm ci/),
  });
});

test("binaries that the user can run are used where they are", async () => {
  const systemDirectory = join(await temporaryDirectory(), "system");
  const source = await findBinaryPackage();
  const binaries = await usableBinaries(ctx, { source, account: undefined, systemDirectory });
  expect(binaries.postgres).toBe(join(source.native, "bin", "postgres"));
  expect(binaries.major).toBe(18);
  expect(await isThere(systemDirectory)).toBe(false);
});

test("library links that npm did not make are made", async () => {
  const source = await copyOfPackage({ mode: 0o711 });
  const link = join(source.native, "lib", "libicuuc.so.60");
  await unlink(link);
  const systemDirectory = join(await temporaryDirectory(), "system");
  await usableBinaries(ctx, { source, account: undefined, systemDirectory });
  expect((await stat(link)).isFile()).toBe(true);
});

test.runIf(isRoot)(
  "binaries in a directory that only root enters are copied once, also by two starts at once",
  async () => {
    const source = await copyOfPackage({ mode: 0o700 });
    const systemDirectory = join(await temporaryDirectory(), "system");
    const input = { source, account: await unprivilegedAccount(), systemDirectory };
    const [first, second] = await Promise.all([
      usableBinaries(ctx, input),
      usableBinaries(ctx, input),
    ]);
    const copy = join(systemDirectory, `postgres-${source.version}`);
    expect(first.postgres).toBe(join(copy, "bin", "postgres"));
    expect(second).toEqual(first);
    expect(await readdir(systemDirectory)).toEqual([`postgres-${source.version}`]);
    const files = await readdir(copy, { recursive: true });
    expect(files.filter((name) => name.endsWith(".a"))).toEqual([]);
    const { uid, mode } = await stat(first.initdb);
    expect([uid, mode & 0o777]).toEqual([0, 0o755]);
  },
);

test.runIf(isRoot)("root does not copy into a directory that another user owns", async () => {
  const source = await copyOfPackage({ mode: 0o700 });
  const account = await unprivilegedAccount();
  const systemDirectory = join(await temporaryDirectory(), "system");
  await mkdir(systemDirectory);
  await chown(systemDirectory, account.uid, account.gid);
  await expect(usableBinaries(ctx, { source, account, systemDirectory })).rejects.toMatchObject({
    code: "unavailable",
    message: expect.stringContaining("it must be root's"),
  });
  expect(await readdir(systemDirectory)).toEqual([]);
});

async function copyOfPackage({ mode }: { mode: number }) {
  const { native, version } = await findBinaryPackage();
  const copy = join(await temporaryDirectory({ mode }), "package");
  await cp(dirname(native), copy, { recursive: true, verbatimSymlinks: true });
  return { native: join(copy, "native"), version };
}
