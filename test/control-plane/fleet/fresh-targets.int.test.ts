import { sql } from "drizzle-orm";
import { expect, test } from "vitest";
import { deriveFreshTargets } from "../../../control-plane/fleet/fresh-targets.ts";
import { createProject, useFleet } from "../../helpers/fleet.ts";

const fleet = useFleet();

test("projects from before there were targets get theirs from the schedule, and keep what was chosen", async () => {
  const { ctx, operate } = fleet.current;
  const target = async () =>
    (await operate("GET", "/v1/projects/debian")).body.freshTargetSeconds as number;
  await createProject(fleet.current, { schedule: "0 0 * * 0" });
  await ctx.db.execute(sql`update projects set fresh_target_seconds = 86400`);
  await deriveFreshTargets(ctx);
  expect(await target()).toBe(14 * 86_400);
  await operate("PATCH", "/v1/projects/debian", { freshWithinSeconds: 86_400 });
  await deriveFreshTargets(ctx);
  expect(await target()).toBe(86_400);
});
