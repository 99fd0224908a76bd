import type { SQL } from "drizzle-orm";
import type { Logger } from "pino";
import type { Oidc } from "./auth/oidc.ts";
import type { Secrets } from "./auth/secrets.ts";
import type { Database } from "./db/connect.ts";
import type { Share } from "./sharing.ts";

/** What every operation of the control plane gets first. Holds no state of its own. */
export type Ctx = {
  db: Database;
  log: Logger;
  secrets: Secrets;
  /** Issuer of operators' identities; null where there is none. */
  oidc: Oidc | null;
  /** What is asked for often, and may be some seconds old, is read for all who ask at once. */
  share: Share;
  /** The time that decides: the database's clock; tests inject another. */
  now: () => SQL;
  /**
   * Seconds for which polls are held at most, and for which an agent waits between two of them; left out:
   * as long as proxies allow, and not at all.
   */
  hold?: { seconds: number; pauseSeconds: number };
  /** Directory with the packages that `npm run build` made, for hosts that join; left out: none. */
  packagesDirectory?: string | undefined;
  /** Held polls, woken by the database's notifications. */
  waitForWake: (input: { hostId: string; seconds: number; signal: AbortSignal }) => Waiter;
};

/** A registered wait: made, and `ready`, before looking for work, so that no wake-up is missed. */
export type Waiter = { ready: Promise<void>; woken: Promise<void>; cancel: () => void };
