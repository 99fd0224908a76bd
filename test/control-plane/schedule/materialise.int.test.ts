import { sql } from "drizzle-orm";
import { expect, test } from "vitest";
import { projects } from "../../../control-plane/db/schema/projects.ts";
import { materialiseDue } from "../../../control-plane/schedule/materialise.ts";
import { createProject, listRuns, type TestFleet, useFleet, work } from "../../helpers/fleet.ts";

const fleet = useFleet();

/** Makes the project's next time lie some minutes back, on a full minute. */
async function fallDue({ ctx }: TestFleet, { minutesAgo }: { minutesAgo: number }) {
  await ctx.db
    .update(projects)
    .set({ nextRunAt: sql`date_trunc('minute', now()) - ${minutesAgo} * interval '1 minute'` });
}

test("an occurrence becomes one run, however many processes look at once", async () => {
  await createProject(fleet.current, { schedule: "* * * * *" });
  await fallDue(fleet.current, { minutesAgo: 0 });
  await Promise.all([1, 2, 3, 4].map(() => materialiseDue(fleet.current.ctx)));
  expect(await listRuns(fleet.current)).toMatchObject([{ trigger: "schedule", state: "running" }]);
  expect(await materialiseDue(fleet.current.ctx)).toBe(0);
});

test("an occurrence during a pull is skipped, and says why", async () => {
  await createProject(fleet.current, { schedule: "* * * * *" });
  await fallDue(fleet.current, { minutesAgo: 0 });
  await materialiseDue(fleet.current.ctx);
  fleet.current.clock.offsetSeconds = 60;
  await materialiseDue(fleet.current.ctx);
  expect(
    (await listRuns(fleet.current)).map(({ state, reason }: any) => [state, reason]),
  ).toContainEqual(["skipped", "the project's run before was still pulling"]);
});

test("with overlap queue-one, an occurrence during a pull waits behind it", async () => {
  await createProject(fleet.current, { schedule: "* * * * *", overlap: "queue-one" });
  await fallDue(fleet.current, { minutesAgo: 0 });
  await materialiseDue(fleet.current.ctx);
  fleet.current.clock.offsetSeconds = 60;
  await materialiseDue(fleet.current.ctx);
  expect((await listRuns(fleet.current)).map(({ state }: any) => state).toSorted()).toEqual([
    "queued",
    "running",
  ]);
});

test("after a day without a control plane only the latest occurrence runs, and one skipped run accounts for the others", async () => {
  await createProject(fleet.current, { schedule: "* * * * *" });
  await fallDue(fleet.current, { minutesAgo: 1440 });
  await materialiseDue(fleet.current.ctx);
  const items = await listRuns(fleet.current);
  const ran = items.find(({ state }: any) => state === "running");
  expect(Date.now() - Date.parse(ran.scheduledFor)).toBeLessThan(61_000);
  const others = items.filter(({ state }: any) => state !== "running");
  expect(others).toMatchObject([
    {
      state: "skipped",
      reason: `missed, with all that were due before ${ran.scheduledFor}`,
    },
  ]);
  expect(Date.parse(ran.scheduledFor) - Date.parse(others[0].scheduledFor)).toBe(86_400_000);
});

test("with misfire skip, a missed occurrence is skipped, and says why", async () => {
  await createProject(fleet.current, { schedule: "0 3 1 1 *", misfire: "skip" });
  await fallDue(fleet.current, { minutesAgo: 10 });
  await materialiseDue(fleet.current.ctx);
  expect(await listRuns(fleet.current)).toMatchObject([
    { state: "skipped", reason: expect.stringContaining("misfire") },
  ]);
});

test("with misfire all, each missed occurrence of the window runs, one after the other, and none twice", async () => {
  const { ctx, master } = fleet.current;
  // The latest occurrence was five minutes ago: one that is due just now is not missed.
  const minute = (new Date().getUTCMinutes() + 5) % 10;
  await createProject(fleet.current, {
    schedule: `${minute}-59/10 * * * *`,
    misfire: "all",
    misfireWindowSeconds: 3000,
  });
  await ctx.db.execute(
    sql`update projects set next_run_at =
      date_trunc('hour', now()) - interval '10 hours' + ${minute} * interval '1 minute'`,
  );
  const seen: string[] = [];
  for (let rounds = 0; rounds < 20; rounds++) {
    await materialiseDue(ctx);
    const running = (await listRuns(fleet.current)).find(({ state }: any) => state === "running");
    if (!running) break;
    expect(await materialiseDue(ctx)).toBe(0);
    seen.push(running.scheduledFor);
    await work(fleet.current, { agent: master, result: { changes: 0 } });
  }
  const oldest = Date.now() - 3_000_000;
  expect(seen).toEqual(seen.toSorted());
  expect(new Set(seen).size).toBe(seen.length);
  expect([4, 5]).toContain(seen.filter((time) => Date.parse(time) < Date.now() - 60_000).length);
  for (const time of seen) expect(Date.parse(time)).toBeGreaterThan(oldest - 60_000);
  // What lies before the window is accounted for, too.
  const skipped = (await listRuns(fleet.current)).filter(({ state }: any) => state === "skipped");
  expect(skipped).toMatchObject([{ reason: expect.stringContaining("missed") }]);
});
