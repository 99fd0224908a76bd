import { Logger, makeWorkerUtils, run } from "graphile-worker";
import { clock } from "../figures.ts";
import { countForParent, instructions, tell } from "../workers.ts";
import type { PeerInput } from "./peer.ts";

const logger = new Logger(() => () => {});

/** Puts no-op jobs into the queue, one by one or all in one statement. */
export async function openGraphileQueue({ connectionString }: { connectionString: string }) {
  const utils = await makeWorkerUtils({ connectionString, logger });
  await utils.migrate();
  return {
    one: async () => {
      await utils.addJob("noop", {});
    },
    batch: async (count: number) => {
      await utils.addJobs(
        Array.from({ length: count }, () => ({ identifier: "noop", payload: {} })),
      );
    },
    close: async () => utils.release(),
  };
}

/** Started as a process: works on jobs until it is ended. */
export async function workGraphileQueue(): Promise<void> {
  const { connectionString, concurrency, batched } = await instructions<PeerInput>();
  const count = countForParent();
  await run({
    preset: {
      worker: {
        connectionString,
        concurrentJobs: concurrency,
        maxPoolSize: Math.min(20, concurrency + 2),
        logger,
        ...(batched && { localQueue: { size: concurrency + 1 }, completeJobBatchDelay: 0 }),
      },
    },
    parsedCronItems: [],
    taskList: {
      noop: () => {
        tell({ kind: "got", at: clock() });
        count();
      },
    },
  });
  tell({ kind: "ready" });
}
