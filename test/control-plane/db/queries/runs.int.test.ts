import { sql } from "drizzle-orm";
import { expect, test } from "vitest";
import { createProject, readRun, trigger, useFleet } from "../../../helpers/fleet.ts";

const fleet = useFleet();

test("a run is answered with its tasks as they were at the same moment", async () => {
  const { db } = fleet.current.ctx;
  await createProject(fleet.current);
  const run = await trigger(fleet.current);
  let ended = false;
  const changing = db
    .execute(
      sql`do $$ begin
        for number in 1..3000 loop
          update runs set generation = number;
          update tasks set max_attempts = number;
          commit;
        end loop;
      end $$`,
    )
    .finally(() => (ended = true));
  let seen = 0;
  for (; !ended; seen++) {
    const { generation, tasks } = await readRun(fleet.current, run);
    if (generation !== null) expect(tasks[0].maxAttempts).toBe(generation);
  }
  await changing;
  expect(seen).toBeGreaterThan(10);
});
