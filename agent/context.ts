import type { Instance } from "../protocol/instance.ts";
import type { Pulses } from "../systemd/pulses.ts";
import type { Config } from "./config.ts";
import type { Contact } from "./contact.ts";
import type { HostFactsWatch } from "./host-facts.ts";
import type { Identity } from "./identity.ts";
import type { Metrics } from "./metrics.ts";
import type { Clock } from "./request.ts";
import type { StandingSet } from "./standing/kept.ts";
import type { SeenOrders } from "./verify-order.ts";

/** What this agent works on now. */
type Work = {
  /** All that runs: no more at a time than is allowed. */
  running: Set<Promise<void>>;
  /** Ends a task, by its id: "cancelled" or "lost" is why. */
  ends: Map<string, AbortController>;
  /** Projects of the tasks that run. */
  projects: Set<string>;
};

/** Standing orders, and what is done by them. */
export type Standing = {
  set: StandingSet;
  /** Seconds without contact after which they are followed. */
  afterSeconds: number;
  /** Projects that are worked on by them, with the host of the upstream whose limit counts. */
  busy: Map<string, string | null>;
  /** Names of the runs that wait for the control plane. */
  waiting: Set<string>;
};

/** What each part of a running agent gets first. */
export type AgentCtx = {
  /** Mirror roots with symlinks resolved, the default first. */
  config: Config & { mirrorRoots: string[] };
  identity: Identity;
  controlPlane: string;
  /** This process of the agent. */
  instance: Instance;
  clock: Clock;
  contact: Contact;
  facts: HostFactsWatch;
  metrics: Metrics;
  seen: SeenOrders;
  work: Work;
  /** null: switched off. */
  standing: Standing | null;
  /** What systemd's watchdog waits for. */
  pulses: Pulses;
  log: (message: string) => void;
};
