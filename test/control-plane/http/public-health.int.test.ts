import { expect, test } from "vitest";
import { createProject, trigger, useFleet, work } from "../../helpers/fleet.ts";

const fleet = useFleet();

async function health(host: string, project = "debian") {
  const path = `/v1/public/hosts/${host}/projects/${project}/health`;
  const response = await fleet.current.app.request(path);
  return { status: response.status, body: (await response.json()) as any };
}

test("a load balancer hears without credentials which hosts are fresh enough", async () => {
  const { master, ftp1, clock } = fleet.current;
  const fields = { public: true, schedule: "0 0 1 1 *", freshWithinSeconds: 3600 };
  await createProject(fleet.current, { ...fields, hosts: ["ftp1"] });
  expect((await health("ftp1")).body.detail).toBe("ftp1 has never had the whole of debian");
  await trigger(fleet.current);
  await work(fleet.current, { agent: master });
  await work(fleet.current, { agent: ftp1 });
  expect(await health("ftp1")).toMatchObject({ status: 200, body: { withinSeconds: 3600 } });
  expect((await health("ftp2")).status).toBe(503);
  expect((await health("no-such-host")).status).toBe(503);
  clock.offsetSeconds = 3500;
  expect((await health("ftp1")).body.ageSeconds).toBeGreaterThanOrEqual(3500);
  clock.offsetSeconds = 3700;
  expect(await health("ftp1")).toMatchObject({ status: 503, body: { code: "unavailable" } });
});

test("of projects that are not public nothing is said, not even that they are there", async () => {
  const { master, ftp1, operate } = fleet.current;
  await createProject(fleet.current);
  await trigger(fleet.current);
  await work(fleet.current, { agent: master });
  await work(fleet.current, { agent: ftp1 });
  const hidden = await health("ftp1");
  expect(hidden.status).toBe(404);
  expect(await health("ftp1", "none")).toEqual(hidden);
  await operate("PATCH", "/v1/projects/debian", { public: true });
  expect((await health("ftp1")).status).toBe(200);
  await operate("POST", "/v1/hosts/ftp1/revoke");
  expect((await health("ftp1")).status).toBe(503);
});
