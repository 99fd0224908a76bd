import { PgBoss } from "pg-boss";
import { clock } from "../figures.ts";
import { countForParent, instructions, tell } from "../workers.ts";
import type { PeerInput } from "./peer.ts";

const queue = "noop";

async function startBoss({ connectionString }: { connectionString: string }) {
  const boss = new PgBoss({ connectionString, max: 20, useListenNotify: true });
  boss.on("error", (error: Error) => {
    throw error;
  });
  await boss.start();
  await boss.createQueue(queue, { notify: true, heartbeatSeconds: 60 });
  return boss;
}

/** Puts no-op jobs into the queue, one by one or all in one statement. */
export async function openBossQueue(input: { connectionString: string }) {
  const boss = await startBoss(input);
  return {
    one: async () => {
      await boss.send(queue, {});
    },
    batch: async (count: number) => {
      await boss.insert(
        queue,
        Array.from({ length: count }, () => ({ data: {} })),
      );
    },
    close: async () => boss.stop({ graceful: false }),
  };
}

/** Started as a process: works on jobs, each with one heartbeat, until it is ended. */
export async function workBossQueue(): Promise<void> {
  const { connectionString, concurrency } = await instructions<PeerInput>();
  const boss = await startBoss({ connectionString });
  const count = countForParent();
  await boss.work(
    queue,
    {
      localConcurrency: concurrency,
      batchSize: 1,
      pollingIntervalSeconds: 0.5,
      notifyPollingIntervalSeconds: 0.5,
    },
    async ([job]) => {
      tell({ kind: "got", at: clock() });
      await boss.touch(queue, job!.id);
      count();
    },
  );
  tell({ kind: "ready" });
}
