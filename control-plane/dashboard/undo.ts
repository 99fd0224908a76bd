import type { Actor } from "../auth/actor.ts";
import type { latestDeletions } from "../db/queries/generations.ts";
import { operationButton } from "./buttons.ts";
import { plural } from "./words.ts";

export type Deletions = Awaited<ReturnType<typeof latestDeletions>>;

/** Brings back what was deleted last; nothing where nothing was, or it is back. */
export const undoButton = (
  actor: Actor,
  { project, back, deletions }: { project: string; back: string; deletions: Deletions },
) =>
  deletions &&
  operationButton(actor, {
    path: `/v1/projects/${project}/undo`,
    text: "Undo deletions",
    back,
    kind: "danger",
    confirm: `Brings back the ${plural(deletions.deleted, "entry", "entries")} that the pull of ${deletions.at.slice(0, 16).replace("T", " ")} UTC deleted, as far as they lie in the master’s quarantine (where it has one, for a week unless set otherwise). The project is paused, or its next pull would delete them again.`,
  });
