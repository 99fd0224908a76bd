import { fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { Program } from "../demo/processes.ts";

/** What a process that works on tasks is told first, and what it says afterwards. */
export type WorkerNews =
  | { kind: "ready"; port?: number }
  /** A poll of this host's has been answered, at this time of the monotonic clock. */
  | { kind: "answered"; host: string; at: number }
  /** A task has arrived, at this time of the monotonic clock. */
  | { kind: "got"; at: number }
  /** As many tasks as were expected have been worked on. */
  | { kind: "done"; at: number };

/** Tells the parent process. */
export const tell = (news: WorkerNews) => {
  process.send!(news);
};

/** What the process was started with. */
export async function instructions<Value>(): Promise<Value> {
  // Nobody is left behind by a parent that has died.
  process.once("disconnect", () => process.exit());
  const [message] = (await once(process, "message")) as [Value];
  return message;
}

/** Counts tasks for the parent process, which says in `{ expect }` of how many it wants to hear the end. */
export function countForParent() {
  let left = 0;
  const add = (tasks: number) => {
    left += tasks;
    if (left === 0) tell({ kind: "done", at: Number(process.hrtime.bigint()) / 1e6 });
  };
  // A task may arrive before the word of how many are expected.
  process.on("message", ({ expect }: { expect?: number }) => {
    if (expect !== undefined) add(expect);
  });
  return () => add(-1);
}

/** Starts a process that works on tasks, and waits until it is ready for them. */
export async function startWorkers(
  { track }: { track: (program: Program) => void },
  {
    file,
    args = [],
    env = {},
    input,
  }: { file: string; args?: string[]; env?: Record<string, string>; input: object },
) {
  const child = fork(fileURLToPath(new URL(file, import.meta.url)), args, {
    detached: true,
    env: { ...process.env, ...env },
  });
  track({ name: file, child });
  const waiting = new Map<WorkerNews["kind"], PromiseWithResolvers<number>>();
  let port = 0;
  child.on("message", (news: WorkerNews) => {
    if (news.kind === "ready") port = news.port ?? 0;
    waiting.get(news.kind)?.resolve(news.kind === "ready" ? 0 : news.at);
  });
  child.on("exit", () => {
    for (const { reject } of waiting.values()) reject(new Error(`${file} has ended`));
  });
  /** The time of the next news of a kind. */
  const next = (kind: WorkerNews["kind"]): Promise<number> => {
    const wait = Promise.withResolvers<number>();
    // Whoever awaits it hears of a failure; a process that is ended on purpose has nobody who does.
    wait.promise.catch(() => undefined);
    waiting.set(kind, wait);
    return wait.promise;
  };
  const ready = next("ready");
  child.send(input);
  await ready;
  /** At once: peers that are asked to end wait for this and that. */
  const stop = async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, "exit");
    child.kill("SIGKILL");
    await ended;
  };
  const onAnswer = (take: (answered: { host: string; at: number }) => void) =>
    child.on("message", (news: WorkerNews) => {
      if (news.kind === "answered") take(news);
    });
  return {
    pid: child.pid!,
    port,
    next,
    onAnswer,
    expect: (expect: number) => child.send({ expect }),
    stop,
  };
}

export type Workers = Awaited<ReturnType<typeof startWorkers>>;
