import type { IncomingMessage, ServerResponse } from "node:http";
import { setImmediate as nextRound, setTimeout as sleep } from "node:timers/promises";
import type { ExecutionContext } from "hono";
import type { HeldPoll } from "../dispatch/poll.ts";
import { openTurns } from "../turns.ts";

/** Where agents ask for work. */
export const pollPath = "/v1/agent/poll";

/**
 * Polls that are at work at a time, of those that come, and as many of those that are woken: some more than there are
 * connections to the database, so that none rests, and few enough that who else needs one soon has it.
 */
const atOnce = 16;

/** What a server gives with a request, and what a poll leaves there. */
export type PollEnv = {
  /** On node:http. */
  incoming?: IncomingMessage;
  outgoing?: ServerResponse;
  /** When the request came, by `performance.now()`. */
  came?: number;
  /** Set by a poll that has nothing to say yet. */
  held?: HeldPoll;
};

type Fetch = (
  request: Request,
  env?: unknown,
  execution?: ExecutionContext,
) => Response | Promise<Response>;

// On node:http the response tells: a signal of the request would be made for each.
const isGone = (request: Request, { outgoing }: PollEnv): boolean =>
  outgoing ? outgoing.destroyed : request.signal.aborted;

function whenGone(request: Request, env: PollEnv, act: () => void): void {
  const { outgoing } = env;
  if (isGone(request, env)) act();
  else if (outgoing) outgoing.once("close", act);
  else request.signal.addEventListener("abort", act, { once: true });
}

/** Whether the whole request is there, so that nothing waits for its client any more. */
const hasArrived = ({ incoming }: PollEnv): boolean => incoming?.complete ?? true;

/** Milliseconds that a body is waited for which comes after its head, as through some proxies, and between two looks. */
const [patience, lookMilliseconds] = [500, 20];

/** Waits for the body of a request; not for long: who is slow to say what he wants holds up nobody. */
async function untilArrived(request: Request, env: PollEnv): Promise<void> {
  if (!env.incoming) return;
  // Node calls with the head; a body that came with it is there a round later.
  await nextRound();
  for (let waited = 0; waited < patience; waited += lookMilliseconds) {
    if (hasArrived(env) || isGone(request, env)) return;
    await sleep(lookMilliseconds);
  }
}

/** Its answer is read by nobody. */
const goneAnswer = () => new Response(null, { status: 499 });

/**
 * Serves requests by `app`, and holds polls. One for which there is nothing to say is held outside of `app`, so that
 * nothing of its first handling remains in memory but the request itself and what `HeldPoll` says; woken, it is answered
 * by `answers`, with the same headers and errors. All agents may come at once, or be woken at once: they wait
 * their turn here, before they take anything.
 */
export function holdPolls({ app, answers }: { app: Fetch; answers: Fetch }): Fetch {
  const coming = openTurns({ atOnce });
  const woken = openTurns({ atOnce });
  const begin = async (request: Request, env: PollEnv, execution?: ExecutionContext) => {
    if (new URL(request.url).pathname !== pollPath) return app(request, env, execution);
    await untilArrived(request, env);
    if (!hasArrived(env)) return app(request, env, execution);
    return coming(async () => (isGone(request, env) ? goneAnswer() : app(request, env, execution)));
  };
  const hold = (request: Request, env: PollEnv, held: HeldPoll) => {
    // An agent that has gone away must not be given a lease.
    const answer = async () => (isGone(request, env) ? goneAnswer() : answers(request, env));
    whenGone(request, env, held.end);
    return held.woken.then(
      // Without news the database is not asked: it waits for nobody's turn.
      (news) => (news ? woken(answer) : answer()),
      answer,
    );
  };
  return (request, given = {}, execution) => {
    if (request.method !== "POST") return app(request, given, execution);
    const env: PollEnv = { ...(given as PollEnv), came: performance.now() };
    // No async function: it would keep the first answer for as long as the poll is held.
    return begin(request, env, execution).then((answer) =>
      env.held ? hold(request, env, env.held) : answer,
    );
  };
}
