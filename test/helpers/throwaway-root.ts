import { execFile } from "node:child_process";
import { copyFile, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

/** Puts a copy of this machine's root over itself, in memory and for one command alone, and runs a script in it. */
const enter = `set -e
mount -t tmpfs tmpfs "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" "$1/root"
mount -t tmpfs tmpfs "$1/root/tmp"
mount -t tmpfs tmpfs "$1/root/run"
mount --rbind /proc "$1/root/proc"
mount --rbind /dev "$1/root/dev"
mkdir -p "$1/root/opt/test"
cp -r "$2/." "$1/root/opt/test"
exec chroot "$1/root" sh /opt/test/script`;

/** Why no such root can be had here; null where it can. */
export async function whyNoThrowawayRoot(): Promise<string | null> {
  if (process.getuid?.() !== 0) return "needs root";
  const { status, said } = await runInThrowawayRoot({ script: "true" });
  return status === 0 ? null : `needs overlay file systems: ${said.trim()}`;
}

export type Ran = { status: number; said: string };

/**
 * Runs a script as root in a copy of this machine that is gone afterwards, without systemd, with the machine's
 * own network. `files` are put into /opt/test.
 */
export async function runInThrowawayRoot({
  script,
  files = {},
}: {
  script: string;
  files?: Record<string, string>;
}): Promise<Ran> {
  // Also asked for outside of tests: whether it can be had.
  const directory = await mkdtemp(join(tmpdir(), "mirrorfleet-root-"));
  const [place, given] = [join(directory, "place"), join(directory, "given")];
  for (const path of [place, given]) await mkdir(path, { mode: 0o755 });
  for (const [name, from] of Object.entries(files)) await copyFile(from, join(given, name));
  await writeFile(join(given, "script"), script);
  const env = {
    PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    HOME: "/root",
  };
  const options = { env, maxBuffer: 16 * 1024 * 1024, timeout: 120_000 };
  const command = ["--mount", "sh", "-c", enter, "sh", place, given];
  try {
    const { stdout, stderr } = await run("unshare", command, options);
    return { status: 0, said: stdout + stderr };
  } catch (error) {
    const {
      code,
      stdout = "",
      stderr = "",
    } = error as { code?: unknown; stdout?: string; stderr?: string };
    if (typeof code !== "number") throw error;
    return { status: code, said: stdout + stderr };
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}
