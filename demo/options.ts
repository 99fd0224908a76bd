import { parseArgs } from "node:util";
import { AppError } from "../protocol/errors.ts";
import { parseRsyncUrl } from "../protocol/rsync.ts";

export const usage = `npm run demo [-- options]: a whole fleet on this machine, on loopback.

  --once               sync twice, verify, print a line of JSON, and exit
  --upstream DIR|URL   tree to mirror: a copy of a directory, or rsync://host/module/ as it is
  --keep               leave the demo's directory behind
  --help
`;

export type Options = { once: boolean; keep: boolean; help: boolean; upstream: string | null };

/** Reads the demo's options. @throws AppError `invalid-input`. */
export function readOptions(args: string[]): Options {
  try {
    const { values } = parseArgs({
      args,
      options: {
        once: { type: "boolean" },
        keep: { type: "boolean" },
        help: { type: "boolean" },
        upstream: { type: "string" },
      },
    });
    const upstream = values.upstream ?? null;
    if (upstream?.includes("://")) parseRsyncUrl(upstream);
    return {
      once: values.once ?? false,
      keep: values.keep ?? false,
      help: values.help ?? false,
      upstream,
    };
  } catch (cause) {
    if (cause instanceof AppError)
      throw new AppError("invalid-input", `--upstream: ${cause.message}`, { cause });
    throw new AppError("invalid-input", `${(cause as Error).message}\n\n${usage}`, { cause });
  }
}
