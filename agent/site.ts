import { placeOf } from "./changes/carried.ts";
import { type Journal, openJournal } from "./changes/journal.ts";
import type { AgentCtx } from "./context.ts";
import type { Input, Step } from "./pull-step.ts";

export type Place = { step: Step; destination: string };

/** Where an order's work is done. */
export type Site = { root: string; quarantine: string | null; places: Place[]; input: Input };

/** The journal of the generation that an order is to publish; null where it publishes none. */
export async function journalOf(ctx: AgentCtx, { places, input }: Site): Promise<Journal | null> {
  const { publish, project } = input.sync;
  if (publish === null) return null;
  return openJournal({
    stateDir: ctx.config.stateDir,
    project,
    generation: publish,
    place: await placeOf({ destinations: places.map(({ destination }) => destination) }),
  });
}
