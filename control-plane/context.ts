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
  /** Waits, for so many seconds at most, until a host may have news. */
  waitForWake: (input: { hostId: string; seconds: number }) => Waiter;
};

/** A registered wait: made, and `ready`, before looking for work, so that no wake-up is missed. */
export type Waiter = {
  ready: Promise<void>;
  /** True: there may be news; false: the wait is over. */
  woken: Promise<boolean>;
  /** Ends the wait; once it has ended, nothing more comes of it. */
  wake: (news: boolean) => void;
};
