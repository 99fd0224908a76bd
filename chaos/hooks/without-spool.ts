// An agent that forgets its spool when it starts.
import { rewrite } from "./rewrite.ts";

rewrite({
  file: "/agent/spool.ts",
  from: "const entries: SpoolEntry[] = [];",
  to: "const entries: SpoolEntry[] = []; await rm(root, { recursive: true }); await mkdir(root, { mode: 0o700 });",
});
