import { setTimeout as sleep } from "node:timers/promises";
import type { StandingClaims } from "../../protocol/standing.ts";
import { forgetCarried } from "../changes/carried.ts";
import { forgetPlace } from "../changes/journal.ts";
import type { AgentCtx, Standing } from "../context.ts";
import { checkPolicy } from "../policy.ts";
import { refusal } from "../run-task.ts";
import type { SpoolEntry } from "../spool.ts";
import { workOn } from "../work.ts";
import { dueOccurrence } from "./due.ts";
import { isHeard, validOrders } from "./orders.ts";
import { latestBegun, noteBegun } from "./spool.ts";

const lookEveryMilliseconds = 2000;
/** Longest look: it asks the control plane once more, and begins what is due. */
const lookSeconds = 900;
/** The loop's name to the watchdog. */
const pulse = "the loop of standing orders";

type Order = { order: string; claims: StandingClaims };

/** Runs one sync by a standing order, and leaves its log and result in the spool. */
async function runStanding(
  ctx: AgentCtx,
  {
    claims,
    entry,
    stop,
  }: { claims: StandingClaims; entry: SpoolEntry<unknown>; stop: AbortSignal },
): Promise<void> {
  const { role, sync } = claims;
  const { project } = sync;
  const { stateDir } = ctx.config;
  ctx.log(`project ${project}: begins by its standing order`);
  const result = await (async () => {
    checkPolicy(ctx.config.policy, { sync });
    // First of all: from here on the tree is no generation that a change list leads to, or on from.
    if (role === "master") await forgetPlace({ stateDir, project });
    else await forgetCarried({ stateDir, project });
    return workOn(ctx, { sync, signal: stop, onLine: entry.write, onProgress: () => {} });
  })().catch((error: unknown) => refusal(ctx, error));
  const said = `${result.outcome}${result.message ? `: ${result.message}` : ""}`;
  entry.write(said);
  await entry.finish(result);
  await entry.close();
  await ctx.metrics.note({ project, ...result });
  ctx.log(`project ${project}, by its standing order: ${said}`);
}

/** May a run begin beside those that do: of all, of this project, and from this upstream? */
function hasRoom(
  ctx: AgentCtx,
  { standing, claims }: { standing: Standing; claims: StandingClaims },
): boolean {
  const { upstream, hostParallel, sync } = claims;
  const { running, projects } = ctx.work;
  if (running.size >= Math.min(ctx.config.parallel, hostParallel ?? ctx.config.parallel))
    return false;
  if (standing.busy.has(sync.project) || projects.has(sync.project)) return false;
  if (upstream === null) return true;
  const same = [...standing.busy.values()].filter((host) => host === upstream.host);
  return same.length < upstream.parallel;
}

async function begin(
  ctx: AgentCtx,
  {
    standing,
    order: { order, claims },
    scheduledFor,
    now,
    stop,
  }: { standing: Standing; order: Order; scheduledFor: number; now: number; stop: AbortSignal },
): Promise<void> {
  const { project } = claims.sync;
  // Taken before the disk is: a delivery must not meet a run that is about to begin.
  standing.busy.set(project, claims.upstream?.host ?? null);
  const ticket = { project, order, scheduledFor, startedAt: now };
  const entry = await noteBegun(ctx, { standing, ticket });
  if (entry === null) {
    standing.busy.delete(project);
    return;
  }
  const run = runStanding(ctx, { claims, entry, stop })
    .catch((error: unknown) => ctx.log(`a run failed in the agent: ${(error as Error).stack}`))
    .finally(() => {
      standing.busy.delete(project);
      ctx.work.running.delete(run);
    });
  ctx.work.running.add(run);
}

/**
 * Follows standing orders while the control plane has been silent for longer than the limit, until
 * `stop`. `onSilence` comes before the first run of each silence.
 */
export async function followStandingOrders(
  ctx: AgentCtx,
  {
    standing,
    stop,
    onSilence,
  }: { standing: Standing; stop: AbortSignal; onSilence: () => Promise<void> },
): Promise<void> {
  let said = "";
  const say = (text: string) => {
    if (text !== said && text !== "") ctx.log(text);
    said = text;
  };
  /** The control plane's time, where orders are to be followed now. */
  const silentSince = () => {
    const looked = ctx.contact.look();
    if (looked === null) return null;
    if ("fault" in looked) {
      say(`no standing order is followed: ${looked.fault}`);
      return null;
    }
    if (looked.silentSeconds < standing.afterSeconds) {
      say("");
      return null;
    }
    return { now: looked.now, contactAt: looked.now - looked.silentSeconds };
  };
  const look = async () => {
    const silence = silentSince();
    if (silence === null || standing.set.orders.length === 0) return;
    const { now, contactAt } = silence;
    if (said === "") await onSilence();
    say(
      `the control plane is silent: ${standing.set.orders.length} standing orders are followed until it is heard`,
    );
    const begun = latestBegun(standing);
    let asked = false;
    for (const order of await validOrders({ identity: ctx.identity, now }, standing.set)) {
      if (!hasRoom(ctx, { standing, claims: order.claims })) continue;
      const after = Math.max(contactAt, begun.get(order.claims.sync.project) ?? 0);
      const scheduledFor = dueOccurrence({ claims: order.claims, after, now });
      if (scheduledFor === null) continue;
      if (!asked && (await isHeard(ctx))) return;
      asked = true;
      // Heard meanwhile: nothing more begins. And what had room may have none any more.
      if (stop.aborted || silentSince() === null) return;
      if (hasRoom(ctx, { standing, claims: order.claims }))
        await begin(ctx, { standing, order, scheduledFor, now, stop });
    }
  };
  while (!stop.aborted) {
    ctx.pulses.expect(pulse, lookSeconds);
    await look().catch((error: unknown) =>
      ctx.log(`standing orders cannot be followed: ${(error as Error).stack}`),
    );
    await sleep(lookEveryMilliseconds, undefined, { signal: stop }).catch((error: Error) => {
      if (error.name !== "AbortError") throw error;
    });
  }
  ctx.pulses.forget(pulse);
}
