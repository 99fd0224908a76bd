import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** What each part of a build gets first. */
export type BuildCtx = {
  /** The repository. */
  root: string;
  /** Where what is built goes. */
  out: string;
  /** The version of mirrorfleet. */
  version: string;
  /** The time that all files get, in seconds since 1970: builds of one commit are alike. */
  epoch: number;
  log: (message: string) => void;
};

/** Processors that executables and .deb packages are made for, by Node's names, with Debian's. */
export const architectures = { x64: "amd64", arm64: "arm64" } as const;
export type Architecture = keyof typeof architectures;

const root = fileURLToPath(new URL("..", import.meta.url));

/** SOURCE_DATE_EPOCH, else the time of the last commit. */
function sourceDateEpoch(environment: NodeJS.ProcessEnv): number {
  const given = environment["SOURCE_DATE_EPOCH"];
  const text =
    given ?? execFileSync("git", ["log", "-1", "--format=%ct"], { cwd: root, encoding: "utf8" });
  const seconds = Number(text.trim() || Number.NaN);
  if (!Number.isInteger(seconds)) throw new Error(`SOURCE_DATE_EPOCH is no number: ${text}`);
  return seconds;
}

/** The context of a build of this repository into `out`. */
export function openBuild({ out, log }: { out: string; log: (message: string) => void }): BuildCtx {
  const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  return { root, out, version, epoch: sourceDateEpoch(process.env), log };
}
