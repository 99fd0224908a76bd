import { spawnSync } from "node:child_process";

/** Is promtool installed? Debian has it in the package "prometheus". */
export const hasPromtool = spawnSync("promtool", ["--version"]).status === 0;

/** Runs promtool; answers its status and all that it says. */
export function promtool(args: string[], input = ""): { status: number | null; said: string } {
  const { status, stdout, stderr } = spawnSync("promtool", args, { input, encoding: "utf8" });
  return { status, said: stdout + stderr };
}
