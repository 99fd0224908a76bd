import { lstat, mkdir, realpath } from "node:fs/promises";
import { join, sep } from "node:path";
import { AppError } from "../protocol/errors.ts";
import { isRelativePath } from "../protocol/names.ts";

const refused = (message: string, cause?: unknown) =>
  new AppError("order-refused", message, { cause });

/** Is `path` the directory `other`, or below it? */
const isWithin = (path: string, other: string) => `${path}${sep}`.startsWith(`${other}${sep}`);

/** The mirror root with symlinks resolved; it must exist, for an unmounted disk must not be filled. @throws AppError `order-refused`. */
async function resolveMirrorRoot({ mirrorRoot }: { mirrorRoot: string }): Promise<string> {
  const root = await realpath(mirrorRoot).catch((cause: unknown) => {
    throw refused(
      `mirror root ${mirrorRoot} cannot be used: is its disk mounted? (${(cause as Error).message})`,
      cause,
    );
  });
  if (root === "/") throw refused('the mirror root must not be "/"');
  if (!(await lstat(root)).isDirectory())
    throw refused(`mirror root ${mirrorRoot} is not a directory`);
  return root;
}

/**
 * All mirror roots with symlinks resolved. None may lie in another: one's deletions would be the
 * other's loss. @throws AppError `order-refused`.
 */
export async function resolveMirrorRoots({
  mirrorRoots,
}: {
  mirrorRoots: string[];
}): Promise<string[]> {
  const roots: string[] = [];
  for (const mirrorRoot of mirrorRoots) roots.push(await resolveMirrorRoot({ mirrorRoot }));
  for (const [index, root] of roots.entries()) {
    const other = roots.find((each, at) => at !== index && isWithin(root, each));
    if (other !== undefined) throw refused(`mirror root ${root} lies within mirror root ${other}`);
  }
  return roots;
}

/**
 * Refuses a state directory that is not apart from the mirror roots: what is served must not hold the agent's
 * keys, and what removes its state, as purging a package does, must not find a mirror in it.
 * @throws AppError `invalid-input`.
 */
export async function checkStateApart({
  stateDir,
  mirrorRoots,
}: {
  stateDir: string;
  mirrorRoots: string[];
}): Promise<void> {
  const state = await realpath(stateDir);
  const root = mirrorRoots.find((each) => isWithin(each, state) || isWithin(state, each));
  if (root !== undefined)
    throw new AppError(
      "invalid-input",
      `the mirror root ${root} and the state directory ${stateDir} are not apart: neither may lie within the other`,
    );
}

/**
 * The quarantines with symlinks resolved, one for each mirror root; made where they are missing. What is
 * deleted is moved there: each must be on its root's file system, and outside of what is served.
 * @throws AppError `invalid-input`.
 */
export async function resolveQuarantines({
  quarantines,
  mirrorRoots,
}: {
  quarantines: string[] | null;
  mirrorRoots: string[];
}): Promise<string[] | null> {
  if (quarantines === null) return null;
  const wrong = (message: string, cause?: unknown) =>
    new AppError("invalid-input", `MIRRORFLEET_QUARANTINES ${message}`, { cause });
  if (quarantines.length !== mirrorRoots.length)
    throw wrong(`must name a directory for each of the ${mirrorRoots.length} mirror roots`);
  const resolved: string[] = [];
  for (const [index, path] of quarantines.entries()) {
    const root = mirrorRoots[index]!;
    await mkdir(path, { mode: 0o700 }).catch((cause: NodeJS.ErrnoException) => {
      if (cause.code !== "EEXIST") throw wrong(`cannot be used: ${cause.message}`, cause);
    });
    const quarantine = await realpath(path);
    const overlapping = mirrorRoots.find(
      (each) => isWithin(quarantine, each) || isWithin(each, quarantine),
    );
    if (overlapping !== undefined)
      throw wrong(`must be outside of all mirror roots: ${path} and ${overlapping} are not apart`);
    if ((await lstat(quarantine)).dev !== (await lstat(root)).dev)
      throw wrong(`${path} must be on the file system of the mirror root ${root}`);
    resolved.push(quarantine);
  }
  return resolved;
}

/** The mirror root that an order names; null is the first. @throws AppError `order-refused`. */
export function chooseRoot({
  mirrorRoots,
  root,
}: {
  mirrorRoots: string[];
  root: string | null;
}): string {
  const chosen = root === null ? mirrorRoots[0] : mirrorRoots.find((each) => each === root);
  if (chosen === undefined)
    throw refused(
      `${root} is not a mirror root of this host: to allow it, add it to MIRRORFLEET_MIRROR_ROOTS`,
    );
  return chosen;
}

/** Refuses a mirror root without its marker: its disk is not mounted. @throws AppError `order-refused`. */
export async function checkMarker({
  root,
  rootMarker,
}: {
  root: string;
  rootMarker: string | null;
}): Promise<void> {
  if (rootMarker === null) return;
  await lstat(join(root, rootMarker)).catch((cause: unknown) => {
    throw new AppError(
      "unavailable",
      `mirror root ${root} has no ${rootMarker}: is its disk mounted? (MIRRORFLEET_ROOT_MARKER)`,
      { cause },
    );
  });
}

/** One step down: the directory `name` of `parent`, symlinks resolved; undefined where there is nothing of that name. */
async function enter({
  parent,
  name,
  root,
}: {
  parent: string;
  name: string;
  root: string;
}): Promise<string | undefined> {
  const path = join(parent, name);
  const known = await lstat(path).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code === "ENOENT") return undefined;
    throw refused(`${path} cannot be looked at: ${cause.message}`, cause);
  });
  if (!known) return undefined;
  const real = await realpath(path).catch((cause: unknown) => {
    throw refused(`${path} is a symlink to nothing`, cause);
  });
  if (!real.startsWith(root + sep))
    throw refused(`${path} is a symlink that leads to ${real}, outside the mirror root ${root}`);
  if (!(await lstat(real)).isDirectory()) throw refused(`${path} is not a directory`);
  return real;
}

async function makeDirectory(path: string): Promise<void> {
  await mkdir(path, { mode: 0o755 }).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code !== "EEXIST") throw refused(`cannot make ${path}: ${cause.message}`, cause);
  });
}

/**
 * Absolute path of a destination strictly below the mirror root, with all symlinks resolved; missing
 * directories are made or, with `make` false, left out: the path is then where they would be.
 * @throws AppError `order-refused`.
 */
export async function resolveDestination({
  mirrorRoot,
  destination,
  make = true,
}: {
  mirrorRoot: string;
  destination: string;
  make?: boolean;
}): Promise<string> {
  if (!isRelativePath(destination)) {
    throw refused(
      `destination ${JSON.stringify(destination)} is not a relative path of plain segments below the mirror root`,
    );
  }
  const root = await resolveMirrorRoot({ mirrorRoot });
  let path = root;
  for (const name of destination.split("/")) {
    if (make) await makeDirectory(join(path, name));
    path = (await enter({ parent: path, name, root })) ?? join(path, name);
  }
  return path;
}
