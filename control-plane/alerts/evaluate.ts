import type { Ctx } from "../context.ts";
import { readPresent } from "../db/queries/alert-conditions.ts";
import { closeAlerts, openAlerts, takeAlertTurn } from "../db/queries/alerts.ts";
import { readSettings } from "../db/queries/settings.ts";
import { announce } from "./announce.ts";
import { describe } from "./describe.ts";

/**
 * Looks at everything that alerts can be about: opens and ends alerts, and writes down the messages that
 * tell of them, in one transaction. Of several replicas that do this at once, one does.
 */
export async function evaluateAlerts(ctx: Pick<Ctx, "db" | "now">): Promise<void> {
  await ctx.db.transaction(async (tx) => {
    const inner = { ...ctx, db: tx };
    if (!(await takeAlertTurn(inner))) return;
    const present = await readPresent(inner, await readSettings(inner));
    const seen = present.map((each) => ({
      condition: each.condition,
      project: each.project,
      host: each.host,
      root: each.root,
      detail: describe(each),
    }));
    await openAlerts(inner, { seen });
    await closeAlerts(inner, { seen });
    await announce(inner);
  });
}
