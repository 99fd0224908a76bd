import { basename } from "node:path";
import { isWrapper } from "./find-rsync.ts";
import { positional, type Started } from "./shell-builtins.ts";
import { unknown, type Variables } from "./shell-words.ts";

const assignment = /^([A-Za-z_]\w*)=(.*)$/s;

/**
 * What a script finds each time that a line of a crontab starts it: variables, and in `@` its positional
 * parameters, where the line tells them. `variables`: those of the crontab.
 */
export function scriptCalls(
  path: string,
  { command, started, variables }: { command: string; started: Started[]; variables: Variables },
): Variables[] {
  const isIt = (word: string) => word === path || basename(word) === basename(path);
  const calls = started.flatMap(({ argv, environment }) => {
    const at = argv.findIndex(isIt);
    if (at === -1 || (at > 0 && !isWrapper(argv[0]!))) return [];
    // "env DEST=/srv/x sync.sh"
    const given = argv.slice(0, at).flatMap((word): [string, string][] => {
      const [, name, value = ""] = assignment.exec(word) ?? [];
      return name === undefined ? [] : [[name, value]];
    });
    return [new Map([...environment, ...given, ["@", positional(argv.slice(at + 1))]])];
  });
  if (calls.length > 0) return calls;
  // It may be started in a way that is not followed here: nothing is known but that.
  return command.split(/[\s"';&|()]+/).some(isIt) ? [new Map([...variables, ["*", unknown]])] : [];
}
