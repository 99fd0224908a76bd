import { setTimeout as sleep } from "node:timers/promises";
import type { RunDetail } from "../protocol/run.ts";
import type { CliCtx } from "./context.ts";
import { patiently } from "./patiently.ts";
import { createRunScreen } from "./run-screen.ts";

const lookEveryMilliseconds = 500;

export const hasEnded = ({ state }: { state: RunDetail["state"] }) =>
  state !== "queued" && state !== "running" && state !== "distributing";

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
  for (;;) {
    const run = await patiently(() => client.getRun(id));
    if (!quiet) screen.draw(run);
    if (hasEnded(run)) return run;
    await sleep(lookEveryMilliseconds);
  }
}
