import { AppError } from "../../protocol/errors.ts";
import {
  type OperatorScope,
  projectOfScope,
  scopes,
  type TokenScope,
} from "../../protocol/token.ts";

/** Who makes a request. `id` is stable; `name` is for people. */
export type Actor = { id: string; name: string; scope: TokenScope };

/**
 * Checks that an actor's scope is enough; `project` is one that a trigger token for it may trigger.
 * @throws AppError `forbidden`.
 */
export function checkScope(
  actor: Actor,
  { needs, project }: { needs: OperatorScope; project?: string | undefined },
): void {
  const limitedTo = projectOfScope(actor.scope);
  if (limitedTo !== null && limitedTo === project) return;
  const rank = limitedTo === null ? scopes.indexOf(actor.scope as OperatorScope) : -1;
  if (rank < scopes.indexOf(needs)) {
    throw new AppError(
      "forbidden",
      `needs an operator token of scope "${needs}"; this one is "${actor.scope}"`,
    );
  }
}
