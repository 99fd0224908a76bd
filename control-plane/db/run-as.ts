import { readFile } from "node:fs/promises";
import { execa } from "execa";
import { AppError } from "../../protocol/errors.ts";

/** The user that Postgres runs as where mirrorfleet itself is root. */
export type Account = { uid: number; gid: number };

/** Nothing of ours (DATABASE_URL, keys) and no PG* variable may reach the server's processes. */
export const cleanEnvironment = {
  PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
  LC_ALL: "C",
  TZ: "UTC",
};

/** Runs a short command, as `account` where one is given. Its failure is a value. */
export async function runAs({
  account,
  command,
}: {
  account: Account | undefined;
  command: string[];
}): Promise<{ ok: boolean; output: string }> {
  const [file = "", ...args] = command;
  // Not our working directory: the account may not be allowed to enter it.
  const result = await execa(file, args, {
    reject: false,
    all: true,
    stdin: "ignore",
    cwd: "/",
    env: cleanEnvironment,
    extendEnv: false,
    ...account,
  });
  return { ok: !result.failed, output: result.all?.trim() || (result.shortMessage ?? "") };
}

/**
 * Words to put before a command so that the kernel signals it when its parent is killed;
 * none where setpriv (util-linux 2.33) is missing. Holds across a change of user, as node
 * has changed it before setpriv runs.
 */
export async function dyingWithParent({
  account,
  signal,
}: {
  account: Account | undefined;
  signal: "INT" | "KILL";
}): Promise<string[]> {
  const words = ["--pdeathsig", signal, "--"];
  const { ok } = await runAs({ account, command: ["setpriv", ...words, "true"] });
  return ok ? ["setpriv", ...words] : [];
}

/** Whether `account` can reach what lies in `directory`; asks the kernel, so ACLs count too. */
export async function canEnter({
  account,
  directory,
}: {
  account: Account;
  directory: string;
}): Promise<boolean> {
  const command = ["/bin/sh", "-c", 'cd -- "$1"', "sh", directory];
  return (await runAs({ account, command })).ok;
}

/**
 * The unprivileged user to run Postgres as: `mirrorfleet`, or else `nobody`.
 * initdb looks its user up by name, so it must be listed in /etc/passwd.
 * @throws AppError `unavailable` where there is neither.
 */
export async function unprivilegedAccount(): Promise<Account> {
  const entries = (await readFile("/etc/passwd", "utf8"))
    .split("\n")
    .map((line) => line.split(":"));
  for (const name of ["mirrorfleet", "nobody"]) {
    const [, , uid, gid] = entries.find((entry) => entry[0] === name) ?? [];
    if (uid && gid && Number(uid) > 0) return { uid: Number(uid), gid: Number(gid) };
  }
  throw new AppError(
    "unavailable",
    "Postgres does not run as root, and /etc/passwd has no user mirrorfleet or nobody: add one (useradd --system mirrorfleet), start as an ordinary user, or set DATABASE_URL",
  );
}
