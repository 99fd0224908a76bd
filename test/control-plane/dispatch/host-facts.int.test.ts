import { expect, test } from "vitest";
import { useFleet } from "../../helpers/fleet.ts";

const fleet = useFleet();

const room = {
  path: "/srv/mirror",
  totalBytes: 1000,
  freeBytes: 10,
  totalInodes: 50,
  freeInodes: 5,
};

test("what an agent says of its machine is kept until it says something else", async () => {
  const { ftp1, operate } = fleet.current;
  await ftp1.poll();
  const host = async () => (await operate("GET", "/v1/hosts/ftp1")).body;
  expect(await host()).toMatchObject({ rsyncVersion: null, disks: [], clockSkewSeconds: null });
  const facts = { rsyncVersion: "3.4.1", roots: [room] };
  await ftp1.poll({ facts, clock: new Date(Date.now() + 90_000).toISOString() });
  await ftp1.poll();
  const said = await host();
  expect(said).toMatchObject({ rsyncVersion: "3.4.1", disks: [room] });
  expect(said.clockSkewSeconds).toBeGreaterThan(88);
  expect(said.clockSkewSeconds).toBeLessThan(91);
  expect(Date.now() - Date.parse(said.factsAt)).toBeLessThan(10_000);
});

test("a poll with facts that cannot be is refused, and names the field", async () => {
  const { ftp1, operate } = fleet.current;
  const facts = { rsyncVersion: "3.4.1", roots: [{ ...room, freeBytes: -1 }] };
  const { code, errors } = (await ftp1.poll({ facts })) as any;
  expect([code, errors[0].field]).toEqual(["invalid-input", "facts.roots.0.freeBytes"]);
  expect((await operate("GET", "/v1/hosts/ftp1")).body.disks).toEqual([]);
});
