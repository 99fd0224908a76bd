import type { Workers } from "./workers.ts";

/** One of those that are compared. */
export type Contender = {
  name: string;
  /** Enqueues one task; `index` says which, where it matters. */
  one: (index: number) => Promise<void>;
  /** Enqueues a task for each of so many agents at once. */
  batch: (count: number) => Promise<void>;
  /** Starts so many agents, or workers, in a process of their own. */
  start: (agents: number) => Promise<Workers>;
};
