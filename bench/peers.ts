import { execFile, execFileSync } from "node:child_process";
import { lstatSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { userInfo } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { type Program, startProgram } from "../demo/processes.ts";

const run = promisify(execFile);

/** Is a program installed? */
export function isInstalled(program: string): boolean {
  try {
    execFileSync("sh", ["-c", 'command -v "$0"', program], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

/** Runs a bare rsync; answers the bytes on the wire. */
export async function rsync(args: string[]): Promise<number> {
  const { stdout } = await run("rsync", [...args, "--stats"], {
    env: { ...process.env, LC_ALL: "C" },
    maxBuffer: 2 ** 28,
  });
  const count = (name: string) =>
    Number(new RegExp(`Total bytes ${name}: ([\\d,]+)`).exec(stdout)![1]!.replaceAll(",", ""));
  return count("sent") + count("received");
}

/** What anybody would run who has the list at hand: rm, then rsync of the paths. */
export async function bareList({
  source,
  tree,
  changed,
  deleted,
  directory,
}: {
  source: string;
  tree: string;
  changed: string[];
  deleted: string[];
  directory: string;
}): Promise<number> {
  const lists = { changed, deleted };
  for (const [name, paths] of Object.entries(lists))
    await writeFile(join(directory, name), paths.map((path) => `${path}\0`).join(""));
  await run("sh", ["-c", 'exec xargs -0 -r rm -f -- < "$0"', join(directory, "deleted")], {
    cwd: tree,
  });
  return rsync([
    "-lptH",
    "--trust-sender",
    "--no-implied-dirs",
    "--from0",
    `--files-from=${join(directory, "changed")}`,
    source,
    tree,
  ]);
}

/** Runs Debian's ftpsync; it scans, in two stages. */
export async function ftpsync({
  source,
  tree,
  directory,
}: {
  source: string;
  tree: string;
  directory: string;
}): Promise<void> {
  const { hostname, port, pathname } = new URL(source);
  const home = join(directory, "ftpsync-home");
  await mkdir(join(home, ".config/ftpsync"), { recursive: true });
  await mkdir(join(home, "log"), { recursive: true });
  await writeFile(
    join(home, ".config/ftpsync/ftpsync.conf"),
    `MIRRORNAME=bench\nTO="${tree}/"\nRSYNC_HOST=${hostname}\nRSYNC_PATH="${pathname.replaceAll("/", "")}"\nRSYNC_EXTRA="--port=${port}"\nLOGDIR="${home}/log"\nMAILTO=""\n`,
  );
  await run("ftpsync", ["sync:all"], {
    env: { ...process.env, HOME: home, LOGNAME: userInfo().username },
  });
}

/** Starts lsyncd, which watches a tree and keeps a copy of it. */
export async function startLsyncd({
  watched,
  tree,
  directory,
}: {
  watched: string;
  tree: string;
  directory: string;
}): Promise<Program> {
  const config = join(directory, "lsyncd.lua");
  await writeFile(
    config,
    `settings { nodaemon = true, insist = true }\nsync { default.rsync, source = "${watched}", target = "${tree}", delay = 1, rsync = { archive = true, hard_links = true } }\n`,
  );
  return startProgram({
    name: "lsyncd",
    command: "lsyncd",
    args: [config],
    env: {},
    logFile: join(directory, "lsyncd.log"),
  });
}

const mtimeOf = (path: string) => lstatSync(path, { throwIfNoEntry: false })?.mtimeMs;

/** Waits until a copy has the changed files of another tree, and none of the deleted. */
export async function untilCarried({
  from,
  to,
  changed,
  deleted,
}: {
  from: string;
  to: string;
  changed: string[];
  deleted: string[];
}): Promise<void> {
  const isCarried = (path: string) =>
    Math.trunc((mtimeOf(join(from, path)) ?? 0) / 1000) ===
    Math.trunc((mtimeOf(join(to, path)) ?? 0) / 1000);
  while (!changed.every(isCarried) || deleted.some((path) => mtimeOf(join(to, path)) !== undefined))
    await sleep(20);
}
