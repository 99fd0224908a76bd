import { randomUUID } from "node:crypto";
import { once } from "node:events";
import type { Server } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { queryObjects } from "node:v8";
import { serve } from "@hono/node-server";
import { Context } from "hono";
import { pino } from "pino";
import { expect, onTestFinished, test } from "vitest";
import { createApp } from "../../../control-plane/http/app.ts";
import { holdPolls } from "../../../control-plane/http/held-polls.ts";
import { createProject, openLease, trigger, useFleet } from "../../helpers/fleet.ts";
import { until } from "../../helpers/programs.ts";

const fleet = useFleet();
const path = "/v1/agent/poll";

/** The fleet's control plane on a socket; `poll` asks for the master as its agent does, `held` counts polls that wait. */
async function listen() {
  const { ctx, master } = fleet.current;
  let held = 0;
  const waitForWake: typeof ctx.waitForWake = (input) => {
    held += 1;
    const waiter = ctx.waitForWake(input);
    const forget = () => (held -= 1);
    waiter.woken.then(forget, forget);
    return waiter;
  };
  const server = serve({
    fetch: createApp({ ...ctx, waitForWake }).fetch,
    port: 0,
    hostname: "127.0.0.1",
  }) as Server;
  if (!server.listening) await once(server, "listening");
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  const { daemonUsersVersion } = await master.poll();
  const poll = async ({ waitSeconds = 20, signal }: Partial<Polled> = {}) => {
    const body = JSON.stringify({
      pollId: randomUUID(),
      agentVersion: "test",
      waitSeconds,
      daemonUsersVersion,
      daemonPort: 8873,
      roots: [{ path: "/srv/mirror", module: "mirror" }],
    });
    const authorization = `Bearer ${await master.sign({ method: "POST", path, body })}`;
    return fetch(`http://127.0.0.1:${port}${path}`, {
      method: "POST",
      headers: { authorization },
      body,
      ...(signal && { signal }),
    });
  };
  const untilHeld = async (count: number) => {
    await until(`${count} polls wait`, () => held === count);
    // They are counted before they have looked.
    await sleep(300);
  };
  return { poll, untilHeld, port };
}

type Polled = { waitSeconds: number; signal: AbortSignal };

test("the held poll of an agent that has gone away takes no lease, and waits no more", async () => {
  const { master, operate } = fleet.current;
  await createProject(fleet.current);
  const { poll, untilHeld } = await listen();
  const gone = new AbortController();
  const held = poll({ signal: gone.signal }).catch((error: Error) => error.name);
  await untilHeld(1);
  gone.abort();
  expect(await held).toBe("AbortError");
  const began = performance.now();
  await untilHeld(0);
  expect(performance.now() - began).toBeLessThan(5000);
  const run = await trigger(fleet.current);
  await sleep(200);
  const { tasks } = (await operate("GET", `/v1/runs/${run.id}`)).body;
  expect(tasks).toMatchObject([{ state: "queued", attempt: 0 }]);
  expect(openLease(await master.poll()).attempt).toBe(1);
});

const headersOf = (response: Response) =>
  Object.fromEntries(
    [...response.headers].filter(([name]) => !["date", "content-length"].includes(name)),
  );

test("a poll that was held is answered with the same headers as one that was not", async () => {
  await createProject(fleet.current);
  const { poll, untilHeld } = await listen();
  const atOnce = headersOf(await poll({ waitSeconds: 0 }));
  expect(atOnce).toMatchObject({
    "cache-control": "no-store",
    "content-type": "application/json",
    "mirrorfleet-protocol": expect.any(String),
    "x-content-type-options": "nosniff",
  });
  const held = poll();
  await untilHeld(1);
  await trigger(fleet.current);
  const answer = await held;
  expect(openLease((await answer.json()) as any).attempt).toBe(1);
  expect(headersOf(answer)).toEqual(atOnce);
  const ended = await poll({ waitSeconds: 1 });
  expect([ended.status, headersOf(ended)]).toEqual([200, atOnce]);
});

test("an error after the wait is a problem document, with the same headers as any", async () => {
  const { ctx, master } = fleet.current;
  const { daemonUsersVersion } = await master.poll();
  const app = createApp({
    ...ctx,
    waitForWake: () => {
      const woken = sleep(200).then(() => {
        throw new Error("the wait has failed");
      });
      return { ready: Promise.resolve(), woken, wake: () => {} };
    },
  });
  const body = JSON.stringify({
    pollId: randomUUID(),
    agentVersion: "test",
    waitSeconds: 20,
    daemonUsersVersion,
    daemonPort: 8873,
    roots: [{ path: "/srv/mirror", module: "mirror" }],
  });
  const sign = async (signed: string) =>
    `Bearer ${await master.sign({ method: "POST", path, body: signed })}`;
  const request = async (authorization: string) => {
    const answer = await app.request(path, { method: "POST", headers: { authorization }, body });
    return { answer, headers: headersOf(answer) };
  };
  const { answer, headers } = await request(await sign(body));
  const refused = await request(await sign("another"));
  expect(answer.status).toBe(500);
  expect(await answer.json()).toMatchObject({ code: "internal", detail: "internal error" });
  const { "www-authenticate": _, ...alike } = refused.headers;
  expect(headers).toEqual(alike);
});

test("a held poll keeps nothing of the request that it came with", async () => {
  const { poll, untilHeld } = await listen();
  await poll({ waitSeconds: 0 });
  const count = () => [
    queryObjects(Context, { format: "count" }),
    queryObjects(AbortController, { format: "count" }),
  ];
  const before = count();
  // The client's own end has a controller for each.
  const polls = Array.from({ length: 20 }, () => poll());
  await untilHeld(20);
  const [contexts, controllers] = count();
  expect(contexts! - before[0]!).toBeLessThan(5);
  expect(controllers! - before[1]!).toBeLessThan(25);
  await createProject(fleet.current);
  await trigger(fleet.current);
  const answers = await Promise.all(polls.map(async (each) => (await each).json()));
  expect(answers.filter((answer: any) => answer.lease !== null)).toHaveLength(1);
});

test("when all agents come at once, an operator is answered before they are", async () => {
  const { master, operate } = fleet.current;
  await master.poll();
  let answered = 0;
  const polls = Array.from({ length: 300 }, async () => {
    const answer = await master.poll();
    answered += 1;
    return answer;
  });
  await until("the first have their answers", () => answered > 10);
  expect((await operate("GET", "/v1/hosts/master")).status).toBe(200);
  expect(answered).toBeLessThan(150);
  expect(await Promise.all(polls)).toMatchObject(polls.map(() => ({ lease: null })));
});

test("connections that are slow to send their polls keep no other poll waiting", async () => {
  const { poll, port } = await listen();
  const slow = Array.from({ length: 40 }, () => {
    const socket = connect({ port, host: "127.0.0.1" });
    socket.on("error", () => undefined);
    socket.write(`POST ${path} HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{`);
    return socket;
  });
  onTestFinished(() => slow.forEach((socket) => socket.destroy()));
  await sleep(300);
  expect((await poll({ waitSeconds: 0, signal: AbortSignal.timeout(10_000) })).status).toBe(200);
});

test("polls whose bodies come a moment after their heads wait their turn like others", async () => {
  let [now, most, answered] = [0, 0, 0];
  const app = async () => {
    most = Math.max(most, (now += 1));
    await sleep(50);
    now -= 1;
    answered += 1;
    return new Response("done");
  };
  const server = serve({
    fetch: holdPolls({ app, answers: app }),
    port: 0,
    hostname: "127.0.0.1",
  }) as Server;
  if (!server.listening) await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const sockets = Array.from({ length: 60 }, () => {
    const socket = connect({ port, host: "127.0.0.1" });
    socket.on("error", () => undefined);
    socket.write(`POST ${path} HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n`);
    setTimeout(() => socket.write("{}"), 100);
    return socket;
  });
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  await until("all are answered", () => answered === 60);
  expect(most).toBe(16);
});

test("a request that breaks off in its body is no fault of the database's", async () => {
  const { ctx } = fleet.current;
  const said: { level: number; msg: string }[] = [];
  const log = pino({ level: "debug" }, { write: (line) => void said.push(JSON.parse(line)) });
  const server = serve({
    fetch: createApp({ ...ctx, log }).fetch,
    port: 0,
    hostname: "127.0.0.1",
  }) as Server;
  if (!server.listening) await once(server, "listening");
  onTestFinished(() => void server.close());
  const { port } = server.address() as AddressInfo;
  const socket = connect({ port, host: "127.0.0.1" });
  socket.write("POST /v1/enrol HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n{}");
  await sleep(200);
  socket.destroy();
  await until("it is noticed", () => said.some(({ msg }) => msg === "the body broke off"));
  expect(said.filter(({ level }) => level >= 40)).toEqual([]);
});
