import { mkdir, readFile } from "node:fs/promises";
import { uptime } from "node:os";
import { dirname, join } from "node:path";
import { z } from "zod";
import { clockToleranceSeconds } from "../protocol/order.ts";
import { writeFileAtomically } from "./files.ts";
import type { Clock } from "./request.ts";
import { isDiskError } from "./spool-log.ts";

/** Seconds between two notes on disk. */
const noteEverySeconds = 60;
/** A difference of the clocks that the way of an answer may make. */
const negligibleSeconds = 3;

const readingSchema = z.object({
  /** This machine's clock, in seconds since 1970. */
  wall: z.number(),
  /** Seconds since it started, in sleep too: nobody sets this one. */
  uptime: z.number(),
  bootId: z.string(),
});
type Reading = z.infer<typeof readingSchema>;

/** When the control plane was last heard: by its clock, and by this machine's. */
const heardSchema = readingSchema.extend({ at: z.number() });
export type Heard = z.infer<typeof heardSchema>;

export type Contact = {
  /**
   * Notes an answer of the control plane, whose clock said `at`; corrects `clock`. On disk at once where
   * it is `leased`: what was due until then is done by that, also where this agent is killed now.
   */
  note: (input: { at: number; leased: boolean }) => Promise<void>;
  /** What the clocks say now; null before the first contact ever. */
  look: () => Looked | null;
};

type Looked = { now: number; silentSeconds: number } | { fault: string };

/**
 * The control plane's time now, and for how long it has not been heard; or why the clock cannot be
 * believed: it was set while there was nobody to measure it against. Pure; seconds.
 */
export function judgeClock({ heard, reading }: { heard: Heard; reading: Reading }): Looked {
  const now = heard.at + (reading.wall - heard.wall);
  const silentSeconds =
    reading.bootId === heard.bootId ? reading.uptime - heard.uptime : now - heard.at;
  const jumped = Math.round(now - heard.at - silentSeconds);
  if (Math.abs(jumped) > clockToleranceSeconds)
    return { fault: `this host's clock was moved by ${jumped} seconds` };
  if (silentSeconds < -clockToleranceSeconds)
    return { fault: "this host's clock says a time before the last contact" };
  return { now, silentSeconds };
}

async function readHeard(path: string): Promise<Heard | null> {
  const text = await readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "ENOENT") throw error;
    return null;
  });
  return text === null ? null : heardSchema.parse(JSON.parse(text));
}

/** Opens the memory of the last contact, which outlives the agent. */
export async function openContact({
  stateDir,
  clock,
  bootId,
  log,
}: {
  stateDir: string;
  clock: Clock;
  bootId: string;
  log: (message: string) => void;
}): Promise<Contact> {
  const path = join(stateDir, "standing", "contact.json");
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const read = (): Reading => ({ wall: Date.now() / 1000, uptime: uptime(), bootId });
  let heard = await readHeard(path).catch((error: Error) => {
    log(`${path} cannot be read, and is written anew: ${error.message}`);
    return null;
  });
  if (heard) clock.skewSeconds = Math.round(heard.at - heard.wall);
  let noted = Number.NEGATIVE_INFINITY;
  let said = 0;
  return {
    note: async ({ at, leased }) => {
      heard = { ...read(), at };
      const skew = Math.round(at - heard.wall);
      clock.skewSeconds = Math.abs(skew) <= negligibleSeconds ? 0 : skew;
      if (Math.abs(clock.skewSeconds - said) > clockToleranceSeconds / 2) {
        said = clock.skewSeconds;
        log(
          `the control plane's clock is ${said} seconds ahead of this host's: check NTP on both; corrected for until then`,
        );
      }
      if (!leased && heard.uptime - noted < noteEverySeconds) return;
      noted = heard.uptime;
      try {
        await writeFileAtomically({ path, text: JSON.stringify(heard), mode: 0o600 });
      } catch (error) {
        if (!isDiskError(error)) throw error;
        log(`${path} cannot be written: ${error.message}`);
      }
    },
    look: () => heard && judgeClock({ heard, reading: read() }),
  };
}
