// An agent that neither holds a destination nor ends what its predecessor left running. The daemon it
// does end: with its port taken it would not start.
import { rewrite } from "./rewrite.ts";

rewrite({
  file: "/agent/hold.ts",
  from: "return holdName({\n    name: `destination",
  to: "return (async (_: object) => ({ release: async () => {} }))({\n    name: `destination",
});
rewrite({
  file: "/agent/rsync/leftovers.ts",
  from: 'if (environment.split("\\0").includes(mark)) found',
  to: 'const command = await readFile(`/proc/${name}/cmdline`, "utf8").catch(() => "");\n    if (environment.split("\\0").includes(mark) && command.includes("--daemon")) found',
});
