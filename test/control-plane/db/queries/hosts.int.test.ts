import { expect, test } from "vitest";
import { useFleet } from "../../../helpers/fleet.ts";

const fleet = useFleet();

test("a host is in contact for 90 seconds after a poll, by the database's clock", async () => {
  const { operate, ftp1, clock } = fleet.current;
  const isInContact = async () => (await operate("GET", "/v1/hosts/ftp1")).body.inContact;
  expect(await isInContact()).toBe(false);
  await ftp1.poll();
  clock.offsetSeconds = 80;
  expect(await isInContact()).toBe(true);
  clock.offsetSeconds = 100;
  expect(await isInContact()).toBe(false);
});
