// An agent that neither holds a destination nor ends what its predecessor left running.
import { rewrite } from "./rewrite.ts";

rewrite({
  file: "/agent/destination.ts",
  from: "return holdName({\n    name: `destination",
  to: "return (async (_: object) => ({ release: async () => {} }))({\n    name: `destination",
});
rewrite({
  file: "/agent/rsync/leftovers.ts",
  from: "const found = await findLeftovers({ stateDir });",
  to: "const found: number[] = []; await findLeftovers({ stateDir });",
});
