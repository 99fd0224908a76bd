import { randomUUID } from "node:crypto";
import { expect, test } from "vitest";
import { protocolHeader, protocolNumber } from "../../../protocol/version.ts";
import { openLease, createProject, trigger, useFleet } from "../../helpers/fleet.ts";
import { testResult } from "../../helpers/control-plane.ts";

const fleet = useFleet();

const poll = (more: object = {}) => ({
  pollId: randomUUID(),
  agentVersion: "9.9.9",
  waitSeconds: 0,
  daemonUsersVersion: null,
  daemonPort: 8873,
  roots: [{ path: "/srv/mirror", module: "mirror" }],
  ...more,
});

/** A request as an agent that speaks `number` sends it; null: of before there were numbers. */
async function send(number: string | null, body: object) {
  const { app, master } = fleet.current;
  const text = JSON.stringify(body);
  const path = "/v1/agent/poll";
  const response = await app.request(path, {
    method: "POST",
    headers: {
      authorization: `Bearer ${await master.sign({ method: "POST", path, body: text })}`,
      ...(number !== null && { [protocolHeader]: number }),
    },
    body: text,
  });
  return {
    status: response.status,
    headers: response.headers,
    body: (await response.json()) as any,
  };
}

const next = String(protocolNumber + 1);

test("an agent of the next release may say more than is known here: it gets its work; what it says wrongly is a fault all the same", async () => {
  await createProject(fleet.current);
  await trigger(fleet.current);
  const later = poll({
    weather: "fine",
    roots: [{ path: "/srv/mirror", module: "mirror", fs: "zfs" }],
  });
  const { status, headers, body } = await send(next, later);
  expect(status).toBe(200);
  expect(headers.get(protocolHeader)).toBe(String(protocolNumber));
  const { taskId, token } = openLease(body);
  const report = (number: string) =>
    fleet.current.app.request(`/v1/tasks/${taskId}/result`, {
      method: "POST",
      headers: { authorization: `Bearer ${token}`, [protocolHeader]: number },
      body: JSON.stringify({ ...testResult(), mood: "good" }),
    });
  expect((await report(String(protocolNumber))).status).toBe(422);
  expect((await report(next)).status).toBe(200);
  expect(await send(next, poll({ waitSeconds: "x", weather: "fine" }))).toMatchObject({
    status: 422,
    body: { errors: [{ field: "waitSeconds" }] },
  });
});

test("an agent of before there were numbers works, and unknown fields of this release's are faults", async () => {
  expect((await send(null, poll())).status).toBe(200);
  expect(await send(null, poll({ weather: "fine" }))).toMatchObject({
    status: 422,
    body: { errors: [{ field: "weather" }] },
  });
});

test("a request of a number that is too far off, or none, is refused, and the header named", async () => {
  for (const number of [String(protocolNumber + 2), "0", "one", "1.5"])
    expect(await send(number, poll()), number).toMatchObject({
      status: 422,
      body: { code: "invalid-input", errors: [{ field: protocolHeader }] },
    });
});
