import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";

const file = (path: string) => fileURLToPath(new URL(`../../${path}`, import.meta.url));

test.each([
  ["quick-leases", ["control-plane/dispatch/lease.ts"]],
  ["without-fence", ["control-plane/dispatch/lease.ts", "control-plane/dispatch/finish.ts"]],
  ["without-lock", ["agent/hold.ts", "agent/rsync/leftovers.ts"]],
  ["without-spool", ["agent/spool.ts"]],
])("the hook %s still finds what it takes out", async (hook, sources) => {
  const script = sources.map((source) => `await import(${JSON.stringify(file(source))});`).join("");
  const args = ["--import", file(`chaos/hooks/${hook}.ts`), "--input-type=module", "-e", script];
  expect(await promisify(execFile)(process.execPath, args)).toMatchObject({ stderr: "" });
});
