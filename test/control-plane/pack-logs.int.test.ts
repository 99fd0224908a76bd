import { sql } from "drizzle-orm";
import { expect, test } from "vitest";
import { packLogs } from "../../control-plane/pack-logs.ts";
import { browse } from "../helpers/browse.ts";
import { report, testResult } from "../helpers/control-plane.ts";
import { createProject, openLease, trigger, useFleet } from "../helpers/fleet.ts";

const fleet = useFleet();
const pack = () =>
  packLogs(fleet.current.ctx, { seconds: 30, signal: new AbortController().signal });

type Lease = { taskId: string; token: string };
const send = ({ taskId, token }: Lease, offset: number, body: Buffer) =>
  fleet.current.app.request(`/v1/tasks/${taskId}/log?offset=${offset}`, {
    method: "POST",
    headers: { authorization: `Bearer ${token}` },
    body: new Uint8Array(body),
  });

/** As rsync tells of changes, with bytes that are no text. */
const log = Buffer.concat(
  Array.from({ length: 9000 }, (_, index) =>
    Buffer.from(
      `>f+++++++++ pool/main/l/linux/linux-image-${index}_${index * 7}_amd64.deb\xff\n`,
      "latin1",
    ),
  ),
);
const cuts = [0, 10, 200_000, 300_000, 300_050, 500_000, 550_000, log.length];

/** An attempt whose log has come in pieces, and a way to end it. */
async function attemptWithLog() {
  await createProject(fleet.current);
  await trigger(fleet.current);
  const lease = openLease(await fleet.current.master.poll());
  for (const [index, from] of cuts.slice(0, -1).entries())
    expect((await send(lease, from, log.subarray(from, cuts[index + 1]))).status).toBe(200);
  return lease;
}
const end = (lease: Lease) =>
  report(fleet.current, { ...lease, kind: "result", body: testResult({ logBytes: log.length }) });

async function stored() {
  const { rows } = await fleet.current.ctx.db.execute<{
    rows: number;
    bytes: number;
    packed: number;
  }>(
    sql`select count(*)::int rows, sum(length(bytes))::int bytes, sum(packed_bytes)::int packed from log_chunks`,
  );
  return rows[0]!;
}

async function read(taskId: string, query = "", headers: Record<string, string> = {}) {
  const response = await fleet.current.app.request(`/v1/tasks/${taskId}/log${query}`, {
    headers: { authorization: `Bearer ${fleet.current.admin}`, ...headers },
  });
  return Buffer.from(await response.arrayBuffer());
}

test("the log of an attempt that has ended is compressed, and read, searched, followed and downloaded as before", async () => {
  const { app, admin, clock, ctx } = fleet.current;
  const lease = await attemptWithLog();
  const { taskId } = lease;
  clock.offsetSeconds = 100;
  expect(await pack()).toBe(0);
  await end(lease);
  expect(await pack()).toBe(0);
  clock.offsetSeconds = 200;
  const [oldest] = (await ctx.db.execute(sql`select min(created_at) at from log_chunks`)).rows;
  // Two replicas at once: one of them does it.
  expect(await Promise.all([pack(), pack()]).then(([one, other]) => one + other)).toBe(1);
  expect(await pack()).toBe(0);
  const { rows, bytes, packed } = await stored();
  expect(packed).toBe(log.length);
  expect(rows).toBe(4);
  expect(log.length / bytes).toBeGreaterThan(8);
  expect((await ctx.db.execute(sql`select min(created_at) at from log_chunks`)).rows).toEqual([
    oldest,
  ]);

  expect(await read(taskId)).toEqual(log);
  for (const offset of [1, 9, 10, 299_999, 300_001, log.length - 1, log.length])
    expect(await read(taskId, `?offset=${offset}`), `from ${offset}`).toEqual(log.subarray(offset));
  for (const [from, to] of [
    [0, 0],
    [199_990, 300_060],
    [549_999, 550_000],
  ] as const)
    expect(await read(taskId, "", { range: `bytes=${from}-${to}` })).toEqual(
      log.subarray(from, to + 1),
    );
  expect(await read(taskId, "?follow=1&offset=5")).toEqual(log.subarray(5));
  const { get, post } = browse(app);
  await post("/sign-in", { token: admin });
  expect(await (await get(`/tasks/${taskId}?q=linux-image-4321_`)).text()).toContain(">1 line<");
  const download = await get(`/tasks/${taskId}/log.txt`);
  expect(Buffer.from(await download.arrayBuffer())).toEqual(log);

  // What comes late goes on where it ended, is evidence, and is packed in its turn.
  const late = Buffer.from("late\n");
  expect(
    await (await send(lease, log.length - 3, Buffer.concat([log.subarray(-3), late]))).json(),
  ).toMatchObject({
    nextOffset: log.length + 5,
  });
  expect(await read(taskId, `?offset=${log.length - 2}`)).toEqual(
    Buffer.concat([log.subarray(-2), late]),
  );
  expect(await pack()).toBe(1);
  expect(await read(taskId)).toEqual(Buffer.concat([log, late]));
});

test("a log that lost its beginning to retention keeps its offsets, and one that runs is not packed though it has thousands of pieces", async () => {
  const { ctx, clock } = fleet.current;
  const lease = await attemptWithLog();
  await ctx.db.execute(sql`
    insert into log_chunks (task_id, attempt, position, bytes)
    select ${lease.taskId}, 1, ${log.length} + n, 'x' from generate_series(0, 3000) n`);
  clock.offsetSeconds = 100;
  expect(await pack()).toBe(0);
  await end(lease);
  await ctx.db.execute(sql`delete from log_chunks where position in (0, 300000)`);
  clock.offsetSeconds = 200;
  expect(await pack()).toBe(1);
  expect(await read(lease.taskId, `?offset=${log.length}`)).toEqual(Buffer.from("x".repeat(3001)));
  expect(await read(lease.taskId, "", { range: "bytes=300040-300059" })).toEqual(
    log.subarray(300_050, 300_060),
  );
});
