import { once } from "node:events";
import { createServer } from "node:http";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { SignJWT } from "jose";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, onTestFinished, test } from "vitest";
import type { AgentCtx, Standing } from "../../../agent/context.ts";
import { followStandingOrders } from "../../../agent/standing/follow.ts";
import { tokenTypes } from "../../../protocol/order.ts";
import { makeAgentCtx, makeIdentity } from "../../helpers/agent.ts";
import { syncSpec } from "../../helpers/rsync.ts";
import { openPulses } from "../../../systemd/pulses.ts";

/** A host that has not been in contact for an hour, with an order that is due; its control plane answers `status`. */
async function followFor({ status, claims = {} }: { status: number; claims?: object }) {
  const server = createServer((_, response) => {
    const time = new Date().toISOString();
    response.writeHead(status).end(JSON.stringify({ version: "v", orders: [], next: null, time }));
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  const { port } = server.address() as { port: number };
  const { ctx: made, stateDir } = await makeAgentCtx();
  const { identity, taskKey, kid } = await makeIdentity();
  const now = Math.floor(Date.now() / 1000);
  const order = await new SignJWT({
    iss: identity.fleet,
    aud: identity.hostId,
    sub: identity.hostId,
    jti: "one",
    iat: now - 7200,
    nbf: now - 7200,
    exp: now + 3600,
    role: "ftp",
    occurrences: [now - 60],
    delaySeconds: 0,
    misfire: "latest",
    upstream: null,
    hostParallel: null,
    sync: syncSpec({ port: 1 }),
    ...claims,
  })
    .setProtectedHeader({ alg: "EdDSA", typ: tokenTypes.standing, kid })
    .sign(taskKey.privateKey);
  const stop = new AbortController();
  const contact = { heardAt: now - 3600 };
  const ctx: AgentCtx = {
    ...made,
    identity,
    controlPlane: `http://127.0.0.1:${port}`,
    contact: {
      note: async ({ at }) => {
        contact.heardAt = at;
      },
      look: () => ({ now: Date.now() / 1000, silentSeconds: Date.now() / 1000 - contact.heardAt }),
    },
  };
  const standing: Standing = {
    set: { version: "v", orders: [order] },
    afterSeconds: 1800,
    busy: new Map(),
    waiting: new Set(),
  };
  const following = followStandingOrders(ctx, {
    standing,
    stop: stop.signal,
    onSilence: async () => {},
  });
  await sleep(1500);
  stop.abort();
  await following;
  await Promise.all(ctx.work.running);
  return readdir(join(stateDir, "standing", "runs")).catch(() => []);
}

test("what is due begins when the control plane does not answer, and is noted on disk", async () => {
  expect(await followFor({ status: 503 })).toEqual([expect.stringMatching(/^\d{12}\.debian$/)]);
});

test("nothing begins where the control plane answers when it is asked once more", async () => {
  expect(await followFor({ status: 200 })).toEqual([]);
});

test("the watchdog expects the loop, for as long as it is to run", async () => {
  const { ctx: made } = await makeAgentCtx();
  const clock = { seconds: 0 };
  const ctx = { ...made, pulses: openPulses({ now: () => clock.seconds }) };
  const standing: Standing = {
    set: { version: "v", orders: ["an order"] },
    afterSeconds: 0,
    busy: new Map(),
    waiting: new Set(),
  };
  const stop = new AbortController();
  const hung = Promise.withResolvers<void>();
  const contact = { ...made.contact, look: () => ({ now: 1, silentSeconds: 1 }) };
  const onSilence = () => hung.promise;
  const following = followStandingOrders(
    { ...ctx, contact },
    { standing, stop: stop.signal, onSilence },
  );
  clock.seconds = 899;
  expect(ctx.pulses.late()).toBeNull();
  clock.seconds = 901;
  expect(ctx.pulses.late()).toBe("the loop of standing orders");
  stop.abort();
  hung.resolve();
  await following;
  expect(ctx.pulses.late()).toBeNull();
});

test("an order that has expired, or is for another host, is not followed", async () => {
  const past = Math.floor(Date.now() / 1000) - 3600;
  expect(await followFor({ status: 503, claims: { exp: past } })).toEqual([]);
  expect(await followFor({ status: 503, claims: { aud: "another" } })).toEqual([]);
});
