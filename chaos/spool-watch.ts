import { createHash } from "node:crypto";
import { existsSync, linkSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { History } from "./history.ts";

const lookEveryMilliseconds = 15;

type Seen = { began: boolean; kept: boolean };

/**
 * Keeps the log of every attempt in an agent's spool by a second link to its file, which sees what the
 * agent writes later and outlives the agent's own.
 */
export function watchSpool({ host, stateDir }: { host: string; stateDir: string }) {
  const spool = join(stateDir, "spool");
  const archive = join(stateDir, "..", "archive");
  mkdirSync(archive, { recursive: true });
  const seen = new Map<string, Seen>();
  const names = () => (existsSync(spool) ? readdirSync(spool) : []);
  const look = () => {
    for (const name of names()) {
      const entry = seen.get(name) ?? { began: false, kept: false };
      seen.set(name, entry);
      entry.began ||= existsSync(join(spool, name, "ticket.json"));
      if (entry.kept) continue;
      try {
        linkSync(join(spool, name, "log"), join(archive, name));
        entry.kept = true;
      } catch (error) {
        // Not there yet, or not any more.
        if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
      }
    }
  };
  const timer = setInterval(look, lookEveryMilliseconds);
  return {
    isEmpty: () => names().length === 0,
    stop: (): History["spooled"] => {
      clearInterval(timer);
      const left = new Set(names());
      return [...seen]
        .filter(([, { began }]) => began)
        .map(([name, { kept }]) => {
          const [taskId, attempt] = name.split(".");
          const bytes = kept ? readFileSync(join(archive, name)) : null;
          const log = bytes && {
            bytes: bytes.length,
            sha256: createHash("sha256").update(bytes).digest("hex"),
          };
          return { host, taskId: taskId!, attempt: Number(attempt), log, left: left.has(name) };
        });
    },
  };
}

export type SpoolWatch = ReturnType<typeof watchSpool>;
