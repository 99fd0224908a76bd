import { setTimeout as sleep } from "node:timers/promises";
import type { RunDetail } from "../protocol/run.ts";
import type { CliCtx } from "./context.ts";
import { exitFailed } from "./exit-status.ts";
import { patiently } from "./patiently.ts";
import { createRunScreen } from "./run-screen.ts";
import { endedText } from "./task-outcome.ts";

const lookEveryMilliseconds = 500;
/** Why hosts wait is asked for more rarely, and not for what begins within moments. */
const hostsEverySeconds = 5;

export const hasEnded = ({ state }: { state: RunDetail["state"] }) =>
  state !== "queued" && state !== "running" && state !== "distributing";

/** Why hosts begin nothing; the others are not in it. */
async function waitsOf({ client }: Pick<CliCtx, "client">): Promise<Map<string, string>> {
  const waits = new Map<string, string>();
  for (const { name, state, drained, inContact } of await patiently(() => client.listHosts())) {
    if (state !== "enrolled") waits.set(name, `is ${state}`);
    else if (drained) waits.set(name, `is drained: mirrorfleet host resume ${name}`);
    else if (!inContact) waits.set(name, `is out of contact: mirrorfleet host show ${name}`);
  }
  return waits;
}

/** Follows a run to its end, with a bar for each host on standard error. */
export async function followRun(
  { client }: Pick<CliCtx, "client">,
  { id, quiet }: { id: string; quiet: boolean },
): Promise<RunDetail> {
  const { project } = await patiently(() => client.getRun(id));
  const { replicas } = await patiently(() => client.getProject(project));
  const gone = new Set(
    (await patiently(() => client.listHosts()))
      .filter(({ state }) => state === "revoked")
      .map(({ name }) => name),
  );
  const screen = createRunScreen({
    output: process.stderr,
    hosts: replicas.map(({ host }) => host).filter((host) => !gone.has(host)),
  });
  let waits = new Map<string, string>();
  let asked = performance.now();
  for (;;) {
    const run = await patiently(() => client.getRun(id));
    const waiting = run.tasks.some(({ state }) => state === "queued");
    if (!quiet && waiting && performance.now() - asked > hostsEverySeconds * 1000) {
      waits = await waitsOf({ client });
      asked = performance.now();
    }
    if (!quiet) screen.draw(run, waits);
    if (hasEnded(run)) return run;
    await sleep(lookEveryMilliseconds);
  }
}

/** Follows a run and prints how it ended; the command fails where the run did not succeed. */
export async function printWhenEnded(ctx: CliCtx, { id }: { id: string }): Promise<void> {
  const ended = await followRun(ctx, { id, quiet: ctx.json });
  ctx.print(ended, endedText);
  if (ended.state !== "succeeded") process.exitCode = exitFailed;
}
