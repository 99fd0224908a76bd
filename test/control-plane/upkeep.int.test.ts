import { expect, test } from "vitest";
import { upkeep } from "../../control-plane/upkeep.ts";
import { report } from "../helpers/control-plane.ts";
import { createProject, openLease, trigger, useFleet } from "../helpers/fleet.ts";

const fleet = useFleet();

/** Rounds of a minute each, for so long. */
async function goOn({ minutes }: { minutes: number }) {
  for (let minute = 0; minute < minutes; minute += 1) {
    await upkeep(fleet.current.ctx);
    fleet.current.clock.offsetSeconds += 60;
  }
}

async function taskOf(id: string) {
  return (await fleet.current.operate("GET", `/v1/tasks/${id}`)).body;
}

test("after an outage of the platform no lease is taken back before its agent had time to be heard", async () => {
  const { clock, ctx, master } = fleet.current;
  await createProject(fleet.current);
  await trigger(fleet.current);
  await goOn({ minutes: 4 });
  const lease = openLease(await master.poll());
  clock.offsetSeconds += 600;
  await upkeep(ctx);
  clock.offsetSeconds += 60;
  await upkeep(ctx);
  expect(await taskOf(lease.taskId)).toMatchObject({ state: "leased", attempt: 1 });
  const answer = await report(fleet.current, {
    ...lease,
    kind: "heartbeat",
    body: { progress: null },
  });
  expect(answer.status).toBe(200);
});

test("while rounds go on, the lease of an agent that is not heard is taken back", async () => {
  const { master } = fleet.current;
  await createProject(fleet.current);
  await trigger(fleet.current);
  await goOn({ minutes: 4 });
  const lease = openLease(await master.poll());
  await goOn({ minutes: 4 });
  expect(await taskOf(lease.taskId)).toMatchObject({ state: "queued", attempt: 1 });
});
