import { AppError } from "../../protocol/errors.ts";
import { clockToleranceSeconds, tokenTypes } from "../../protocol/order.ts";
import {
  type StandingClaims,
  standingClaimsSchema,
  standingOrdersSchema,
} from "../../protocol/standing.ts";
import type { AgentCtx } from "../context.ts";
import { isFinal, signedRequest } from "../request.ts";
import { isDiskError } from "../spool-log.ts";
import { verifyToken } from "../verify-token.ts";
import { noStandingOrders, removeStandingSet, type StandingSet, writeStandingSet } from "./kept.ts";

/** Seconds that a control plane has to answer before a run begins without it. */
const probeSeconds = 10;

/** Forgets them while the agent runs, too: out of contact later, it must not follow them. */
export async function forgetStandingOrders({
  config,
  standing,
}: Pick<AgentCtx, "config" | "standing">): Promise<void> {
  await removeStandingSet(config);
  if (standing) standing.set = noStandingOrders;
}

/**
 * Checks a standing order as a task order is: pinned key, kind, fleet, host, time. `now` is in seconds of
 * the control plane's clock. @throws AppError `order-refused`.
 */
async function verifyStandingOrder(
  { identity, now }: { identity: AgentCtx["identity"]; now: number },
  { order }: { order: string },
): Promise<StandingClaims> {
  const payload = await verifyToken(
    { identity, now },
    { token: order, typ: tokenTypes.standing },
  ).catch((cause: unknown) => {
    throw new AppError(
      "order-refused",
      `a standing order is refused: ${(cause as Error).message}`,
      { cause },
    );
  });
  const claims = standingClaimsSchema.safeParse(payload);
  if (!claims.success || Array.isArray(payload.aud))
    throw new AppError("order-refused", "a standing order is malformed", { cause: claims.error });
  return claims.data;
}

/** The kept orders that hold now, each with what it says. */
export async function validOrders(
  { identity, now }: { identity: AgentCtx["identity"]; now: number },
  { orders }: StandingSet,
): Promise<{ order: string; claims: StandingClaims }[]> {
  const checked = await Promise.all(
    orders.map(async (order) => {
      const claims = await verifyStandingOrder({ identity, now }, { order }).catch((error) => {
        if (!(error instanceof AppError)) throw error;
        return null;
      });
      return claims && { order, claims };
    }),
  );
  return checked.filter((each) => each !== null);
}

/**
 * Asks once more whether the control plane is there: an agent that has all its places full does not poll.
 * True also where it answers that this host has nothing to ask.
 */
export async function isHeard(ctx: AgentCtx): Promise<boolean> {
  try {
    const { time } = await signedRequest(ctx, {
      method: "GET",
      path: "/v1/agent/standing-orders",
      schema: standingOrdersSchema,
      timeoutSeconds: probeSeconds,
    });
    await ctx.contact.note({ at: Date.parse(time) / 1000, leased: false });
    return true;
  } catch (error) {
    return isFinal(error);
  }
}

async function fetchPages(ctx: AgentCtx): Promise<{ version: string; orders: string[] }> {
  const orders: string[] = [];
  let version: string | undefined;
  for (let after = ""; ;) {
    const page = await signedRequest(ctx, {
      method: "GET",
      path: `/v1/agent/standing-orders${after && `?after=${after}`}`,
      schema: standingOrdersSchema,
      timeoutSeconds: 60,
    });
    orders.push(...page.orders);
    // Of pages from before and after a change the first's is kept: the next poll tells that it is old.
    version ??= page.version;
    if (page.next === null) return { version, orders };
    after = page.next;
  }
}

/** Checks a new set: each order, and that none is older than the one that is kept. @throws AppError `order-refused`. */
async function checkSet(
  { identity, clock }: Pick<AgentCtx, "identity" | "clock">,
  { set, kept }: { set: StandingSet; kept: StandingSet },
): Promise<void> {
  const now = Date.now() / 1000 + clock.skewSeconds;
  const before = await validOrders({ identity, now }, kept);
  for (const order of set.orders) {
    const claims = await verifyStandingOrder({ identity, now }, { order });
    const old = before.find((each) => each.claims.sub === claims.sub);
    if (old && claims.iat < old.claims.iat - clockToleranceSeconds)
      throw new AppError("order-refused", "a standing order is older than the one that is kept");
  }
}

/**
 * Fetches this host's standing orders and keeps them, durably, for its owner alone. Where one of them is
 * refused, those of before stay. Answers what counts from now on; its version is not asked for again.
 */
export async function fetchStandingOrders(
  ctx: AgentCtx,
  { kept }: { kept: StandingSet },
): Promise<StandingSet> {
  const set = await fetchPages(ctx);
  try {
    await checkSet(ctx, { set, kept });
    await writeStandingSet(ctx.config, { set });
    return set;
  } catch (error) {
    const isRefused = error instanceof AppError && error.code === "order-refused";
    if (!isRefused && !isDiskError(error)) throw error;
    ctx.log(`new standing orders are not kept: ${error.message}`);
    return isRefused ? { ...kept, version: set.version } : set;
  }
}
