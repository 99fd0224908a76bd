import { decodeJwt } from "jose";
import { expect, test } from "vitest";
import type { StandingClaims } from "../../../protocol/standing.ts";
import { createProject, trigger, useFleet, work } from "../../helpers/fleet.ts";

const fleet = useFleet();

/** What the next orders of a master and a host say. */
async function ordered() {
  const { master, ftp1 } = fleet.current;
  await trigger(fleet.current);
  const pull = await work(fleet.current, { agent: master, result: { changes: 1 } });
  const follow = await work(fleet.current, { agent: ftp1 });
  return [pull.sync, follow.sync];
}

test("each order names the trace file that the project wants; without one it is not mentioned, for older agents", async () => {
  const { operate, ftp1 } = fleet.current;
  await createProject(fleet.current, { hosts: ["ftp1"], schedule: "0 4 * * *" });
  for (const sync of await ordered()) expect(Object.keys(sync)).not.toContain("trace");
  for (const trace of [{ style: "timestamp", path: "synced.txt" }, { style: "debian" }]) {
    await operate("PATCH", "/v1/projects/debian", { trace: null });
    expect((await operate("PATCH", "/v1/projects/debian", { trace })).body).toMatchObject({
      trace,
    });
    for (const sync of await ordered()) expect(sync.trace).toEqual(trace);
    const { body } = await ftp1.request("GET", "/v1/agent/standing-orders");
    const [order] = (body.orders as string[]).map((each) => decodeJwt<StandingClaims>(each));
    expect(order!.sync.trace).toEqual(trace);
  }
});

test.each([
  [{ style: "debian", path: "elsewhere" }, "trace.path"],
  [{ style: "timestamp", path: "../outside" }, "trace.path"],
  [{ style: "timestamp", path: "a*" }, "trace.path"],
  [{ style: "arch" }, "trace.style"],
])("trace %j is refused at field %s", async (trace, field) => {
  await createProject(fleet.current);
  const { status, body } = await fleet.current.operate("PATCH", "/v1/projects/debian", { trace });
  expect(status).toBe(422);
  expect(body.errors[0].field).toBe(field);
});
