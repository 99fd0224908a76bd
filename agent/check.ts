import { access, constants, stat, statfs } from "node:fs/promises";
import { execa } from "execa";
import { AppError } from "../protocol/errors.ts";
import { clockToleranceSeconds } from "../protocol/order.ts";
import { type Config, required } from "./config.ts";
import {
  checkMarker,
  checkStateApart,
  resolveMirrorRoots,
  resolveQuarantines,
} from "./destination.ts";
import { readIdentity } from "./identity.ts";
import { whyNoRoom } from "./room.ts";

type Check = { name: string; run: () => Promise<string> };

const fail = (message: string) => new AppError("invalid-input", message);

async function checkRsync({ rsync, wrapper }: Config): Promise<string> {
  const [command, ...before] = [...wrapper, rsync];
  const { stdout, failed } = await execa(command, [...before, "--version"], { reject: false });
  const version = /version v?(\d+)\.(\d+)\.(\d+)/.exec(stdout ?? "");
  if (failed || !version)
    throw fail(
      `"${[...wrapper, rsync].join(" ")}" does not run: install rsync with the system's package manager`,
    );
  if (Number(version[1]) * 100 + Number(version[2]) < 302)
    throw fail(`rsync ${version[0]} is too old: 3.2 or newer is needed`);
  return version[0];
}

async function checkMirrorRoots(config: Config): Promise<string> {
  const mirrorRoots = required("mirror-roots", config.mirrorRoots);
  const said: string[] = [];
  for (const root of await resolveMirrorRoots({ mirrorRoots })) {
    await access(root, constants.W_OK | constants.X_OK).catch(() => {
      throw fail(`${root} is not writable for this user`);
    });
    await checkMarker({ root, rootMarker: config.rootMarker });
    const noRoom = await whyNoRoom({ root, minFreePercent: config.minFreePercent });
    if (noRoom !== null) throw fail(noRoom);
    const { bavail, bsize } = await statfs(root);
    said.push(`${root}, ${Math.floor((bavail * bsize) / 1e9)} GB free`);
  }
  return said.join("; ");
}

async function checkQuarantines(config: Config): Promise<string> {
  if (config.quarantines === null) return "none: deleted files are gone";
  const mirrorRoots = await resolveMirrorRoots({
    mirrorRoots: required("mirror-roots", config.mirrorRoots),
  });
  const found = await resolveQuarantines({ quarantines: config.quarantines, mirrorRoots });
  return `${found!.join("; ")}, for ${config.quarantineDays} days`;
}

async function checkStateDir({ stateDir, mirrorRoots }: Config): Promise<string> {
  const { mode } = await stat(stateDir).catch(() => {
    throw fail(`${stateDir} is missing: "mirrorfleet-agent join" makes it`);
  });
  if ((mode & 0o077) !== 0) throw fail(`others may enter ${stateDir}: chmod 700 ${stateDir}`);
  // What is wrong with the roots themselves is said of them.
  const roots = await resolveMirrorRoots({ mirrorRoots: mirrorRoots ?? [] }).catch(() => []);
  await checkStateApart({ stateDir, mirrorRoots: roots });
  return stateDir;
}

async function checkControlPlane(config: Config): Promise<string> {
  const url = config.controlPlane ?? (await readIdentity(config)).controlPlane;
  const response = await fetch(`${url}/healthz`, { signal: AbortSignal.timeout(10_000) }).catch(
    (cause: Error) => {
      throw fail(
        `cannot reach ${url}: ${(cause.cause as Error | undefined)?.message ?? cause.message}`,
      );
    },
  );
  if (!response.ok) throw fail(`${url}/healthz answered ${response.status}`);
  const skew = Math.abs(Date.parse(response.headers.get("date") ?? "") - Date.now()) / 1000;
  if (skew > clockToleranceSeconds)
    throw fail(`the clocks differ by ${Math.round(skew)} seconds: check NTP`);
  return url;
}

/** Checks what `run` will need; prints a line each. True when all of it holds. */
export async function checkHost({
  config,
  print,
}: {
  config: Config;
  print: (line: string) => void;
}): Promise<boolean> {
  const checks: Check[] = [
    { name: "rsync", run: () => checkRsync(config) },
    { name: "mirror roots", run: () => checkMirrorRoots(config) },
    { name: "quarantine", run: () => checkQuarantines(config) },
    {
      name: "sources",
      run: async () => {
        if (config.policy.sources.length === 0)
          throw fail("MIRRORFLEET_SOURCES is empty: name the places that this host may pull from");
        return `${config.policy.sources.length} allowed`;
      },
    },
    { name: "state directory", run: () => checkStateDir(config) },
    { name: "identity", run: async () => (await readIdentity(config)).host },
    { name: "control plane", run: () => checkControlPlane(config) },
  ];
  let good = true;
  for (const { name, run } of checks) {
    try {
      print(`ok    ${name}: ${await run()}`);
    } catch (error) {
      good = false;
      print(`FAIL  ${name}: ${(error as Error).message}`);
    }
  }
  return good;
}
