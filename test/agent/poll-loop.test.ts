import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import type { AgentCtx } from "../../agent/context.ts";
import { keysVersion } from "../../agent/follow-keys.ts";
import { pollLoop } from "../../agent/poll-loop.ts";
import { openPulses } from "../../systemd/pulses.ts";
import { makeAgentCtx } from "../helpers/agent.ts";
import { until } from "../helpers/programs.ts";

/** A poll loop before a control plane that answers at once and has no work; its pulses, and how many polls there were. */
async function startLoop(settings: Partial<AgentCtx>, { answers = true } = {}) {
  const { ctx } = await makeAgentCtx();
  const clock = { seconds: 0 };
  const pulses = openPulses({ now: () => clock.seconds });
  const seen = { polls: 0 };
  const answer = {
    lease: null,
    cancelled: [],
    daemonUsersVersion: null,
    keysVersion: keysVersion(ctx.identity.jwks),
    standingVersion: null,
    time: new Date().toISOString(),
  };
  const server = createServer((_, response) => {
    seen.polls += 1;
    if (!answers) response.writeHead(500).end();
    else response.setHeader("content-type", "application/json").end(JSON.stringify(answer));
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const stop = new AbortController();
  const loop = pollLoop(
    { ...ctx, controlPlane: `http://127.0.0.1:${port}`, pulses, ...settings },
    { daemon: null, stop: stop.signal, hurry: stop.signal },
  );
  loop.catch(() => undefined);
  onTestFinished(() => {
    stop.abort();
    server.closeAllConnections();
    server.close();
  });
  return { clock, pulses, seen, stop, loop };
}

test.each([true, false])(
  "a poll loop that comes round is never late, control plane in order: %s",
  async (answers) => {
    const { clock, pulses, seen } = await startLoop({}, { answers });
    for (const polls of [1, 2, 3]) {
      await until("it has polled again", () => seen.polls >= polls);
      clock.seconds += 800;
    }
    await until("it has polled again", () => pulses.late() === null);
  },
);

test("a poll loop that hangs, as on a disk that does not answer, is late", async () => {
  const hangs = { note: () => new Promise<never>(() => {}), look: () => null };
  const { clock, pulses, seen } = await startLoop({ contact: hangs });
  await until("it has polled", () => seen.polls === 1);
  expect(pulses.late()).toBeNull();
  clock.seconds = 1000;
  expect(pulses.late()).toBe("the poll loop");
});

test("a poll loop that was stopped is waited for no more", async () => {
  const { clock, pulses, seen, stop, loop } = await startLoop({});
  await until("it has polled", () => seen.polls > 0);
  stop.abort();
  await loop;
  clock.seconds = 10_000;
  expect(pulses.late()).toBeNull();
});
