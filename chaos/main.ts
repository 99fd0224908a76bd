import { parseArgs } from "node:util";
import { describeFault } from "./plan.ts";
import { type Sabotage, sabotages } from "./programs.ts";
import type { History } from "./history.ts";
import { runChaos } from "./run.ts";
import { timelineOf } from "./timeline.ts";

const usage = `npm run chaos -- [options]: a fleet of real programs under faults, and a judgement of its history.

  --minutes M      how long faults are injected (default 1)
  --seed S         decides the faults (default: by chance)
  --planes N       control planes (default 2)
  --hosts N        FTP hosts (default 2)
  --sabotage WHAT  take a safeguard out, to see that the checker notices, as it does with
                   --seed 1 --minutes 1: ${sabotages.join(", ")}
  --keep           leave logs and history

As root, hosts have disks that can be full, and some are in network namespaces, behind cables
(needs iproute2 and openssl). What cannot be had is left out, and said.

Exit status: 0 all is well, 1 something is not, 2 usage.
`;

/** Violations of each rule that are shown. */
const shownViolations = 2;
const print = (line: string) => process.stdout.write(`${line}\n`);

const summary = (history: History) =>
  [
    `${history.faults.length} faults and deaths`,
    `${history.runs.length} runs`,
    `${history.triggers.length} triggers`,
    `${history.attempts.length} attempts`,
    `${history.rsyncs.length} rsyncs`,
    `${history.reports.length} reports (${history.reports.filter(({ copy }) => copy).length} sent again, ${history.reports.filter(({ status }) => status === 409).length} refused as stale)`,
    `${history.spooled.filter(({ log }) => log).length} logs`,
    `${history.trees.length} comparisons`,
  ].join(", ");

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      minutes: { type: "string", default: "1" },
      seed: { type: "string", default: String(Math.floor(Math.random() * 1_000_000)) },
      planes: { type: "string", default: "2" },
      hosts: { type: "string", default: "2" },
      sabotage: { type: "string" },
      keep: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  const sabotage = values.sabotage ?? null;
  const numbers = [values.minutes, values.seed, values.planes, values.hosts].map(Number);
  const known = sabotage === null || sabotages.includes(sabotage as Sabotage);
  if (values.help || !known || numbers.some((number) => !(number >= 0))) {
    process.stderr.write(usage);
    return 2;
  }
  const [minutes, seed, controlPlanes, ftpHosts] = numbers as [number, number, number, number];
  const end = new AbortController();
  // Also the second one: what was mounted must be taken away.
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
    process.on(name, () => end.abort(new Error(`ended by ${name}`)));
  print(`seed ${seed}`);
  const { history, violations, faults } = await runChaos(
    {
      seed,
      seconds: minutes * 60,
      controlPlanes,
      ftpHosts,
      sabotage: sabotage as Sabotage | null,
      keep: values.keep,
    },
    { print, signal: end.signal },
  );
  print(`the faults of seed ${seed}:`);
  for (const fault of faults) print(describeFault(fault));
  print(summary(history));
  const byRule = Map.groupBy(violations, ({ rule }) => rule);
  for (const violation of [...byRule.values()].flatMap((all) => all.slice(0, shownViolations))) {
    print(`\nVIOLATION of ${violation.rule} (seed ${seed}): ${violation.what}`);
    for (const line of timelineOf(history, violation)) print(line);
  }
  print(
    violations.length === 0
      ? `\nseed ${seed}: nothing is wrong`
      : `\nseed ${seed}: ${violations.length} violations of ${[...byRule.keys()].join(", ")}`,
  );
  return violations.length === 0 ? 0 : 1;
}

main().then(
  (status) => process.exit(status),
  (error: unknown) => {
    process.stderr.write(`chaos: ${(error as Error).stack}\n`);
    process.exit(2);
  },
);
