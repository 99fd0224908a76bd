import { sql } from "drizzle-orm";
import { deliverAlerts } from "../../control-plane/alerts/deliver.ts";
import { evaluateAlerts } from "../../control-plane/alerts/evaluate.ts";
import type { Ctx } from "../../control-plane/context.ts";
import type { ReceiverCreate } from "../../protocol/alert.ts";
import type { TestFleet } from "./fleet.ts";
import { webhookSecret } from "./receivers.ts";

/** Has hosts last heard so many minutes ago, by the control plane's clock; those that are not named: now. */
export async function heard({ ctx }: TestFleet, minutes: Record<string, number> = {}) {
  await ctx.db.execute(sql`
    update hosts set last_seen_at = ${ctx.now()}
      - coalesce((${JSON.stringify(minutes)}::jsonb ->> name)::int, 0) * interval '1 minute'`);
}

/** Looks at everything that alerts can be about, and delivers what is due. */
export async function lookAndDeliver(ctx: Ctx) {
  await evaluateAlerts(ctx);
  return deliverAlerts(ctx, { signal: new AbortController().signal });
}

/** Lets a condition that has gone stay away for as long as it takes to end its alert. */
export async function stayAway(fleet: TestFleet) {
  await evaluateAlerts(fleet.ctx);
  fleet.clock.offsetSeconds += 121;
  await heard(fleet);
}

/** Makes a receiver; without more it is a webhook named "hook". */
export async function addReceiver(
  { operate }: TestFleet,
  input: Partial<ReceiverCreate> & { url: string },
) {
  const kind = input.kind ?? "webhook";
  const { status, body } = await operate("POST", "/v1/alert-receivers", {
    name: "hook",
    kind,
    ...(kind === "webhook" && { secret: webhookSecret }),
    ...input,
  });
  if (status !== 201) throw new Error(JSON.stringify(body));
  return body;
}

/** Open alerts as "condition project host". */
export async function openAlerts({ operate }: TestFleet) {
  const { body } = await operate("GET", "/v1/alerts?open=1");
  return body.items
    .map(({ condition, project, host }: any) =>
      [condition, project, host].filter((part) => part !== null).join(" "),
    )
    .toSorted() as string[];
}
