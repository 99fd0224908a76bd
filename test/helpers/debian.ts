import { execFile, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rename, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { onTestFinished } from "vitest";

const run = promisify(execFile);

const cache = fileURLToPath(new URL("../../node_modules/.cache/debian/", import.meta.url));
const codename = "bookworm";
/** Beyond a minimal Debian: systemd, to boot it, and what the packages depend on. */
const included = ["systemd", "systemd-sysv", "dbus", "rsync", "ca-certificates", "man-db", "wget"];

async function isInstalled(command: string): Promise<boolean> {
  return run("which", [command]).then(
    () => true,
    () => false,
  );
}

/** Why no Debian can be made and booted here; null where it can. */
export async function whyNoDebian(): Promise<string | null> {
  if (process.getuid?.() !== 0) return "needs root";
  for (const command of ["debootstrap", "systemd-nspawn", "dpkg-deb", "apt-get"])
    if (!(await isInstalled(command))) return `needs ${command}`;
  return null;
}

/** The mirror that this machine's own apt uses for Debian. */
async function mirrorOfApt(): Promise<string> {
  const { stdout } = await run("apt-get", [
    "indextargets",
    "--format",
    "$(SITE)",
    "Created-By: Packages",
    `Codename: ${codename}`,
    "Component: main",
  ]);
  const [mirror] = stdout.split("\n");
  if (!mirror) throw new Error(`apt has no lists of Debian ${codename}: run apt-get update`);
  return mirror;
}

/** A fresh Debian, made once and copied; removed after the test. */
export async function makeDebian(): Promise<string> {
  const contents = createHash("sha256").update(included.join()).digest("hex").slice(0, 8);
  const base = join(cache, `${codename}-${contents}`);
  if (!existsSync(base)) {
    await mkdir(cache, { recursive: true });
    const partial = `${base}.partial`;
    await rm(partial, { recursive: true, force: true });
    const include = `--include=${included.join(",")}`;
    const command = ["--variant=minbase", include, codename, partial, await mirrorOfApt()];
    await run("debootstrap", command, { maxBuffer: 64 * 1024 * 1024 });
    await rename(partial, base);
  }
  const root = await mkdtemp(join(tmpdir(), "mirrorfleet-debian-"));
  onTestFinished(() => rm(root, { recursive: true, force: true }));
  await run("cp", ["-a", "--reflink=auto", `${base}/.`, root]);
  return root;
}

export type Said = { status: number; stdout: string; stderr: string };

function spoken(result: Promise<{ stdout: string; stderr: string }>): Promise<Said> {
  return result.then(
    ({ stdout, stderr }) => ({ status: 0, stdout, stderr }),
    (error: Error & { code?: unknown; stdout?: string; stderr?: string }) => {
      if (typeof error.code !== "number") throw error;
      return { status: error.code, stdout: error.stdout ?? "", stderr: error.stderr ?? "" };
    },
  );
}

/** Its own environment: nothing of the machine's that tests it. */
const env = {
  PATH: "/usr/sbin:/usr/bin:/sbin:/bin",
  HOME: "/root",
  LC_ALL: "C.UTF-8",
  DEBIAN_FRONTEND: "noninteractive",
};

/** Runs a shell command in a Debian that is not booted. */
export async function inRoot(root: string, command: string): Promise<Said> {
  // systemd-tmpfiles, and the agent, ask /proc.
  const script = `mount -t proc proc "$0/proc" && exec chroot "$0" sh -c "$1"`;
  return spoken(run("unshare", ["--mount", "sh", "-c", script, root, command], { env }));
}

export type Machine = {
  /** Runs a shell command as root. */
  run: (command: string) => Promise<Said>;
  /** Shuts the machine down. */
  stop: () => Promise<void>;
};

async function firstChild(pid: number): Promise<number | undefined> {
  const text = await readFile(`/proc/${pid}/task/${pid}/children`, "utf8").catch(() => "");
  const [child] = text.trim().split(" ");
  return child ? Number(child) : undefined;
}

/** Boots a Debian with its own systemd, and a network that has only its loopback. Shut down after the test. */
export async function boot(root: string): Promise<Machine> {
  const container = spawn(
    "systemd-nspawn",
    ["--quiet", "--directory", root, "--register=no", "--keep-unit", "--private-network", "--boot"],
    { stdio: ["ignore", "ignore", "ignore"] },
  );
  const ended = once(container, "exit");
  const command = async (text: string) => {
    const init = await firstChild(container.pid!);
    if (init === undefined) throw new Error("the machine does not run");
    return spoken(
      run("nsenter", ["--target", String(init), "--all", "--", "sh", "-c", text], {
        env,
        maxBuffer: 16 * 1024 * 1024,
      }),
    );
  };
  const stop = async () => {
    if (container.exitCode !== null) return;
    await command("systemctl poweroff");
    const patience = setTimeout(() => container.kill("SIGKILL"), 60_000);
    await ended;
    clearTimeout(patience);
  };
  onTestFinished(stop);
  for (const end = Date.now() + 60_000; ; await sleep(200)) {
    const state = await command("systemctl is-system-running").catch(() => null);
    // Degraded: not all that a machine has can be had in a container.
    if (state && /running|degraded/.test(state.stdout)) break;
    if (Date.now() > end) throw new Error("Debian did not boot within a minute");
  }
  return { run: command, stop };
}
