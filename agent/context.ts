import type { Config } from "./config.ts";
import type { Identity } from "./identity.ts";
import type { Clock } from "./request.ts";
import type { SeenOrders } from "./verify-order.ts";

/** What each part of a running agent gets first. */
export type AgentCtx = {
  /** Mirror roots with symlinks resolved, the default first. */
  config: Config & { mirrorRoots: string[] };
  identity: Identity;
  controlPlane: string;
  clock: Clock;
  seen: SeenOrders;
  log: (message: string) => void;
};
