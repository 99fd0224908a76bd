import type { Config } from "./config.ts";
import type { Contact } from "./contact.ts";
import type { Identity } from "./identity.ts";
import type { Clock } from "./request.ts";
import type { SeenOrders } from "./verify-order.ts";

/** What this agent works on now. */
export type Work = {
  /** All that runs: no more at a time than is allowed. */
  running: Set<Promise<void>>;
  /** Ends a task, by its id: "cancelled" or "lost" is why. */
  ends: Map<string, AbortController>;
};

/** What each part of a running agent gets first. */
export type AgentCtx = {
  /** Mirror roots with symlinks resolved, the default first. */
  config: Config & { mirrorRoots: string[] };
  identity: Identity;
  controlPlane: string;
  clock: Clock;
  contact: Contact;
  seen: SeenOrders;
  work: Work;
  log: (message: string) => void;
};
