import { isSea } from "node:sea";
import { fileURLToPath } from "node:url";

/** Hidden command of the agent that puts a master's rsync daemon behind TLS. */
export const tlsEndCommand = "_tls-end";

/** Command and arguments that start this agent's program again: sources, a build's one file, or the executable. */
export function ownCommand(): [string, ...string[]] {
  if (isSea()) return [process.execPath];
  const { url } = import.meta;
  return [process.execPath, fileURLToPath(url.endsWith(".ts") ? new URL("main.ts", url) : url)];
}
