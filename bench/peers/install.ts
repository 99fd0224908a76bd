import { execFileSync } from "node:child_process";
import { cpSync, existsSync, readFileSync, realpathSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const directory = fileURLToPath(new URL("..", import.meta.url));

function npmProgram(): string {
  const given = process.env["npm_execpath"];
  if (given !== undefined) return given;
  const places = (process.env["PATH"] ?? "").split(delimiter).map((place) => join(place, "npm"));
  const found = places.find((place) => existsSync(place));
  if (found === undefined) throw new Error("there is no npm on the PATH");
  return realpathSync(found);
}

/** Installs what bench/package-lock.json names into bench/node_modules, unless it is there. */
export function installPeers(): void {
  const lock = join(directory, "package-lock.json");
  const stamp = join(directory, "node_modules", ".mirrorfleet-lock");
  if (existsSync(stamp) && readFileSync(stamp).equals(readFileSync(lock))) return;
  process.stdout.write("installing the peers into bench/node_modules\n");
  // Under this Node: npm on an old one picks packages for it.
  execFileSync(process.execPath, [npmProgram(), "ci", "--no-audit", "--no-fund"], {
    cwd: directory,
    stdio: ["ignore", "ignore", "inherit"],
    env: {
      ...process.env,
      PATH: `${dirname(process.execPath)}${delimiter}${process.env["PATH"] ?? ""}`,
    },
  });
  cpSync(lock, stamp);
}
