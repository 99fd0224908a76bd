import { randomUUID } from "node:crypto";
import { sql } from "drizzle-orm";
import { expect, test } from "vitest";
import type { Poll } from "../../../protocol/fleet.ts";
import { lookForWake } from "../../../control-plane/dispatch/look-for-wake.ts";
import { poll } from "../../../control-plane/dispatch/poll.ts";
import { hosts } from "../../../control-plane/db/schema/hosts.ts";
import { report, testResult } from "../../helpers/control-plane.ts";
import { createProject, openLease, trigger, useFleet } from "../../helpers/fleet.ts";

const fleet = useFleet();

/** A poll; `held` when it has found nothing, and waits. */
function startPoll(hold: { seconds: number; pauseSeconds: number }) {
  const held = Promise.withResolvers<void>();
  return { held: held.promise, answered: pollWith(hold, held.resolve) };
}

async function pollWith(
  hold: { seconds: number; pauseSeconds: number },
  onHeld = () => {},
  waited = 0,
) {
  const { ctx, master } = fleet.current;
  const [host] = await ctx.db
    .select()
    .from(hosts)
    .where(sql`name = 'master'`);
  const input: Poll = {
    pollId: randomUUID(),
    agentVersion: "0",
    waitSeconds: 25,
    daemonUsersVersion: (await master.poll()).daemonUsersVersion,
    daemonPort: 8873,
    roots: [{ path: "/srv/mirror", module: "mirror" }],
    busy: [],
  };
  const polled = { ...ctx, hold, waitForWake: lookForWake(ctx) };
  const started = performance.now();
  const found = await poll(polled, { host: host!, input, waited });
  if ("held" in found) {
    onHeld();
    await found.held.woken;
  }
  const answer = "held" in found ? await found.held.answer() : found.answer;
  return { answer, seconds: (performance.now() - started) / 1000 };
}

test("without holding, a poll is answered at once, and says when to come again", async () => {
  const { answer, seconds } = await pollWith({ seconds: 0, pauseSeconds: 15 });
  expect(answer).toMatchObject({ lease: null, pauseSeconds: 15 });
  expect(seconds).toBeLessThan(1);
});

test("where nothing listens, a held poll sees work that comes, and otherwise ends in time", async () => {
  await createProject(fleet.current);
  const waiting = startPoll({ seconds: 20, pauseSeconds: 0 });
  await waiting.held;
  await trigger(fleet.current);
  const { answer, seconds } = await waiting.answered;
  expect(answer.lease).not.toBeNull();
  expect(seconds).toBeLessThan(5);
  const empty = await pollWith({ seconds: 1, pauseSeconds: 0 });
  expect(empty.answer.lease).toBeNull();
  expect(empty.seconds).toBeGreaterThan(0.9);
  expect(empty.seconds).toBeLessThan(2);
});

test("where nothing listens, work that comes in the last moments of a wait is seen at its end", async () => {
  await createProject(fleet.current);
  const waiting = startPoll({ seconds: 1.5, pauseSeconds: 60 });
  await waiting.held;
  await trigger(fleet.current);
  expect((await waiting.answered).answer.lease).not.toBeNull();
});

test("where nothing listens, a task that waited for a place at its upstream wakes a held poll when it may begin", async () => {
  const { operate } = fleet.current;
  await createProject(fleet.current);
  await operate("PATCH", "/v1/settings", { upstreamParallel: 1 });
  await createProject(fleet.current, { name: "other" });
  await operate("POST", "/v1/projects/other/sync");
  const running = openLease(await fleet.current.master.poll());
  await trigger(fleet.current);
  const waiting = startPoll({ seconds: 20, pauseSeconds: 0 });
  await waiting.held;
  await report(fleet.current, { ...running, kind: "result", body: testResult() });
  const { answer, seconds } = await waiting.answered;
  expect(openLease(answer).sync.project).toBe("debian");
  expect(seconds).toBeLessThan(5);
});

test("where nothing listens, a task that cannot be leased ends no held poll early", async () => {
  const { operate } = fleet.current;
  await createProject(fleet.current);
  await trigger(fleet.current);
  expect((await operate("POST", "/v1/settings/pause", {})).status).toBe(200);
  const paused = await pollWith({ seconds: 4, pauseSeconds: 0 });
  expect(paused.answer.lease).toBeNull();
  expect(paused.seconds).toBeGreaterThan(3.9);
  const waiting = startPoll({ seconds: 20, pauseSeconds: 0 });
  await waiting.held;
  await operate("POST", "/v1/settings/resume");
  const { answer, seconds } = await waiting.answered;
  expect(answer.lease).not.toBeNull();
  expect(seconds).toBeLessThan(5);
});

test("a poll that had to wait for its turn is held for as much less", async () => {
  const began = await pollWith({ seconds: 20, pauseSeconds: 0 }, undefined, 19);
  expect(began.seconds).toBeGreaterThan(0.9);
  expect(began.seconds).toBeLessThan(2);
  const late = await pollWith({ seconds: 20, pauseSeconds: 0 }, undefined, 21);
  expect(late.answer.lease).toBeNull();
  expect(late.seconds).toBeLessThan(1);
});
