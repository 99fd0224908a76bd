import { isSea } from "node:sea";
import { fileURLToPath } from "node:url";

/** Hidden command of the agent that connects an rsync to a daemon behind TLS. */
export const tlsCommand = "_tls-connect";

/** Command and arguments that start this agent's program again: sources, a build's one file, or the executable. */
export function ownCommand(): string[] {
  if (isSea()) return [process.execPath];
  const { url } = import.meta;
  return [process.execPath, fileURLToPath(url.endsWith(".ts") ? new URL("main.ts", url) : url)];
}
