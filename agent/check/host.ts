import { access, constants, stat, statfs } from "node:fs/promises";
import { execa } from "execa";
import { type Config, required } from "../config.ts";
import {
  checkMarker,
  checkStateApart,
  resolveMirrorRoots,
  resolveQuarantines,
} from "../destination.ts";
import { readIdentity } from "../identity.ts";
import { whyNoRoom } from "../room.ts";
import { askControlPlane, checkClock, checkControlPlane } from "./control-plane.ts";
import { checkDaemon, checkMasters } from "./masters.ts";
import { fail, type Finding, ok } from "./outcome.ts";
import { checkService } from "./service.ts";
import { checkSources } from "./sources.ts";

async function checkRsync({ rsync, wrapper }: Config): Promise<Finding> {
  const [command, ...before] = [...wrapper, rsync];
  const { stdout, failed } = await execa(command, [...before, "--version"], { reject: false });
  const version = /version v?(\d+)\.(\d+)\.(\d+)/.exec(stdout ?? "");
  if (failed || !version)
    throw fail(
      `"${[...wrapper, rsync].join(" ")}" does not run: install rsync with the system's package manager`,
    );
  if (Number(version[1]) * 100 + Number(version[2]) < 302)
    throw fail(`rsync ${version[0]} is too old: 3.2 or newer is needed`);
  return ok(version[0]);
}

/** Room in a root, for people; some file systems have no fixed number of inodes, and say 0. */
async function roomText(root: string): Promise<string> {
  const { bavail, blocks, bsize, ffree, files } = await statfs(root);
  const percent = (free: number, all: number) => Math.floor((100 * free) / all);
  const space = `${Math.floor((bavail * bsize) / 1e9)} GB (${percent(bavail, blocks)} %)`;
  return `${root}, ${space}${files > 0 ? ` and ${percent(ffree, files)} % of inodes` : ""} free`;
}

async function checkMirrorRoots(config: Config): Promise<Finding> {
  const mirrorRoots = required("mirror-roots", config.mirrorRoots);
  const said: string[] = [];
  for (const root of await resolveMirrorRoots({ mirrorRoots })) {
    await access(root, constants.W_OK | constants.X_OK).catch(() => {
      throw fail(
        `${root} is not writable for this user: as root, "chown -R USER: ${root}" with the agent's user, or have the service run as its owner`,
      );
    });
    await checkMarker({ root, rootMarker: config.rootMarker });
    const noRoom = await whyNoRoom({ root, minFreePercent: config.minFreePercent });
    if (noRoom !== null) throw fail(noRoom);
    said.push(await roomText(root));
  }
  return ok(said.join("; "));
}

async function checkQuarantines(config: Config): Promise<Finding> {
  if (config.quarantines === null) return ok("none: deleted files are gone");
  const mirrorRoots = await resolveMirrorRoots({
    mirrorRoots: required("mirror-roots", config.mirrorRoots),
  });
  const found = await resolveQuarantines({ quarantines: config.quarantines, mirrorRoots });
  return ok(`${found!.join("; ")}, for ${config.quarantineDays} days`);
}

async function checkStateDir({ stateDir, mirrorRoots }: Config): Promise<Finding> {
  const { mode } = await stat(stateDir).catch(() => {
    throw fail(`${stateDir} is missing: "mirrorfleet-agent join" makes it`);
  });
  if ((mode & 0o077) !== 0) throw fail(`others may enter ${stateDir}: chmod 700 ${stateDir}`);
  // What is wrong with the roots themselves is said of them.
  const roots = await resolveMirrorRoots({ mirrorRoots: mirrorRoots ?? [] }).catch(() => []);
  await checkStateApart({ stateDir, mirrorRoots: roots });
  return ok(stateDir);
}

async function checkIdentity(config: Config): Promise<Finding> {
  const { host, roles } = await readIdentity(config);
  return ok(`host ${host} (${roles.join(", ")})`);
}

type Check = { name: string; run: () => Promise<Finding> | Finding };

/** The checks, in an order in which a cure comes before what hangs on it. */
function checksOf(config: Config, { beforeStart }: { beforeStart: boolean }): Check[] {
  const asked = askControlPlane(config);
  // Told where it is waited for.
  asked.catch(() => undefined);
  const roles = async () => (await readIdentity(config).catch(() => null))?.roles ?? [];
  return [
    { name: "rsync", run: () => checkRsync(config) },
    { name: "mirror roots", run: () => checkMirrorRoots(config) },
    { name: "quarantine", run: () => checkQuarantines(config) },
    { name: "state directory", run: () => checkStateDir(config) },
    { name: "identity", run: () => checkIdentity(config) },
    { name: "control plane", run: async () => checkControlPlane(await asked) },
    { name: "clock", run: async () => checkClock(await asked) },
    {
      name: "sources",
      run: async () => checkSources({ rules: config.policy.sources, roles: await roles() }),
    },
    { name: "rsync daemon", run: () => checkDaemon(config) },
    { name: "masters", run: () => checkMasters(config) },
    ...(beforeStart ? [] : [{ name: "service", run: checkService }]),
  ];
}

/** Checks what the agent needs; prints a line each, and the cure. True when nothing FAILs. */
export async function checkHost({
  config,
  beforeStart,
  print,
}: {
  config: Config;
  /** The service need not run yet. */
  beforeStart: boolean;
  print: (line: string) => void;
}): Promise<boolean> {
  let good = true;
  for (const { name, run } of checksOf(config, { beforeStart })) {
    try {
      const { level, text } = await run();
      print(`${level.padEnd(4)}  ${name}: ${text}`);
    } catch (error) {
      good = false;
      print(`FAIL  ${name}: ${(error as Error).message}`);
    }
  }
  return good;
}
