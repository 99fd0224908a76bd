// Builds twice, as two people would, and compares: npm run build:twice [-- options of npm run build]
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const main = fileURLToPath(new URL("main.ts", import.meta.url));

/** What two people's machines differ in. */
const people = [
  { umask: 0o022, env: { TZ: "UTC", LC_ALL: "C" } },
  { umask: 0o077, env: { TZ: "Asia/Kolkata", LC_ALL: "C.UTF-8" } },
];

const directory = mkdtempSync(join(tmpdir(), "mirrorfleet-twice-"));
try {
  const [first, second] = people.map(({ umask, env }, index) => {
    const out = join(directory, `${"x".repeat(index * 20)}out`);
    process.umask(umask);
    execFileSync(process.execPath, [main, "--out", out, ...process.argv.slice(2)], {
      env: { ...process.env, ...env },
      stdio: ["ignore", "ignore", "inherit"],
    });
    return readFileSync(join(out, "SHA256SUMS"), "utf8");
  });
  process.stdout.write(first!);
  if (first === second) process.stdout.write("both builds are the same, byte by byte\n");
  else {
    process.stdout.write(`the second build differs:\n${second}`);
    process.exitCode = 1;
  }
} finally {
  rmSync(directory, { recursive: true });
}
