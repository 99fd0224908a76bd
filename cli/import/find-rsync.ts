import type { Started } from "./shell-builtins.ts";
import { wordsWithoutSecrets } from "./secrets.ts";
import { readScript } from "./shell-script.ts";

/** Programs that run another one as it stands: `nice -n 19 rsync …`. */
const wrappers = new Set(
  "nice ionice chrt flock lockrun lckdo setlock run-one timeout chronic cronic env sudo time nohup setsid stdbuf systemd-cat systemd-inhibit exec command sh bash dash".split(
    " ",
  ),
);

const baseName = (word: string) => word.split("/").at(-1)!;
/** Does it run another program as it stands? */
export const isWrapper = (word: string) => wrappers.has(baseName(word));

const isRsync = (word: string) => ["rsync", "rsync-ssl"].includes(baseName(word));

/** An rsync that a command line runs. */
export type FoundRsync = {
  argv: string[];
  tls: boolean;
  directory: string | undefined;
  /** What it ran through; null: nothing. */
  wrapper: string | null;
  way: Started["way"];
  line: number;
};

/** Finds the rsync that a program's words run, if they do: itself, through a wrapper, or in a `-c`. */
export function findRsync({ argv, directory, environment, way, line }: Started): FoundRsync[] {
  const at = argv.findIndex(isRsync);
  const wrapped = isWrapper(argv[0] ?? "");
  if (at > 0 && !wrapped) return [];
  if (at >= 0) {
    const words = argv.slice(at + 1);
    // "rsync-ssl" may be told by which program it makes its connection.
    const args = words.filter((word) => !word.startsWith("--type="));
    return [
      {
        argv: args,
        tls: baseName(argv[at]!) === "rsync-ssl",
        directory,
        way,
        line,
        wrapper: at > 0 ? wordsWithoutSecrets(argv.slice(0, at)) : null,
      },
    ];
  }
  const text = wrapped ? argv[argv.indexOf("-c") + 1] : undefined;
  if (!argv.includes("-c") || text === undefined || !text.includes("rsync")) return [];
  const wrapper = wordsWithoutSecrets(argv.slice(0, argv.indexOf("-c") + 1));
  return readScript(text, { variables: new Map(environment) })
    .started.flatMap((each) => findRsync({ ...each, directory: each.directory ?? directory }))
    .map(({ argv: args, tls, directory: place }) => ({
      argv: args,
      tls,
      directory: place,
      way,
      line,
      wrapper,
    }));
}
