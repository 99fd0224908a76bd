import { randomUUID } from "node:crypto";
import { once } from "node:events";
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { serve } from "@hono/node-server";
import { expect, onTestFinished, test } from "vitest";
import { createProject, openLease, trigger, useFleet } from "../../helpers/fleet.ts";

const fleet = useFleet();

test("the held poll of an agent that has gone away takes no lease", async () => {
  const { app, master, operate } = fleet.current;
  const server = serve({ fetch: app.fetch, port: 0, hostname: "127.0.0.1" }) as Server;
  if (!server.listening) await once(server, "listening");
  onTestFinished(() => void server.close());
  const { port } = server.address() as AddressInfo;
  await createProject(fleet.current);
  const { daemonUsersVersion } = await master.poll();
  const body = JSON.stringify({
    pollId: randomUUID(),
    agentVersion: "test",
    waitSeconds: 20,
    daemonUsersVersion,
    daemonPort: 8873,
    roots: [{ path: "/srv/mirror", module: "mirror" }],
  });
  const path = "/v1/agent/poll";
  const seen = async () => (await operate("GET", "/v1/hosts/master")).body.lastSeenAt;
  const before = await seen();
  const gone = new AbortController();
  const held = fetch(`http://127.0.0.1:${port}${path}`, {
    method: "POST",
    headers: { authorization: `Bearer ${await master.sign({ method: "POST", path, body })}` },
    body,
    signal: gone.signal,
  }).catch((error: Error) => error.name);
  while ((await seen()) === before) await sleep(20);
  await sleep(200);
  gone.abort();
  expect(await held).toBe("AbortError");
  await sleep(200);
  const run = await trigger(fleet.current);
  await sleep(200);
  const { tasks } = (await operate("GET", `/v1/runs/${run.id}`)).body;
  expect(tasks).toMatchObject([{ state: "queued", attempt: 0 }]);
  expect(openLease(await master.poll()).attempt).toBe(1);
});
