import { sql } from "drizzle-orm";
import { expect, test } from "vitest";
import { sampleDisks } from "../../../../control-plane/db/queries/disk-samples.ts";
import { useFleet } from "../../../helpers/fleet.ts";

const fleet = useFleet();
const day = 86_400;

const room = (freeBytes: number, path = "/srv/mirror") => ({
  path,
  totalBytes: 10_000,
  freeBytes,
  totalInodes: 0,
  freeInodes: 0,
});

/** One day after another on which so much is free. */
async function days(...free: number[]) {
  const { ftp1, ctx, clock } = fleet.current;
  for (const freeBytes of free) {
    clock.offsetSeconds += day;
    await ftp1.poll({ facts: { rsyncVersion: null, roots: [room(freeBytes), room(500, "/b")] } });
    // The host's report has the database's own time.
    await ctx.db.execute(sql`update hosts set facts_at = ${ctx.now()} where name = 'ftp1'`);
    await sampleDisks(ctx);
  }
}

/** Days until each root is full. */
async function full() {
  const { body } = await fleet.current.operate("GET", "/v1/hosts/ftp1");
  return body.disks.map(({ fullAt }: { fullAt: string | null }) =>
    fullAt === null ? null : (Date.parse(fullAt) - Date.parse(body.factsAt)) / 1000 / day,
  );
}

const samples = async () =>
  (await fleet.current.ctx.db.execute(sql`select * from disk_samples`)).rows.length;

test("a root that fills will be full when the line through its days is at nothing; one that does not is not forecast", async () => {
  await days(1000, 900, 800);
  expect(await full()).toEqual([null, null]);
  await days(700);
  expect(await full()).toEqual([expect.closeTo(7, 3), null]);
  await days(720);
  const [later] = await full();
  expect(later).toBeGreaterThan(7);
  await days(2000, 3000);
  expect(await full()).toEqual([null, null]);
});

test("a root that will be full in years only is not forecast", async () => {
  await days(9004, 9003, 9002, 9001, 9000);
  expect(await full()).toEqual([null, null]);
});

test("there is one sample a day of each root, for thirty days, and none of a host that is silent", async () => {
  await days(1000);
  await sampleDisks(fleet.current.ctx);
  expect(await samples()).toBe(2);
  await days(...Array.from({ length: 35 }, () => 1000));
  expect(await samples()).toBe(31 * 2);
  fleet.current.clock.offsetSeconds += day;
  await sampleDisks(fleet.current.ctx);
  expect(await samples()).toBe(30 * 2);
});
