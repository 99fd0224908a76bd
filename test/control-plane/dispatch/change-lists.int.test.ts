import { expect, test } from "vitest";
import type { Result } from "../../../protocol/report.ts";
import { createProject, openLease, trigger, useFleet, work } from "../../helpers/fleet.ts";

const fleet = useFleet();
const digest = "a".repeat(64);
const day = 86_400;

const listOf = (generation: number, entries = 3) => ({ generation, digest, entries });

/** A pull of the master with the list of what it changed, and what ftp1 is told to do then. */
async function publish(changeList: Result["changeList"], result: Partial<Result> = {}) {
  const { master, ftp1 } = fleet.current;
  await trigger(fleet.current);
  const { sync } = await work(fleet.current, { agent: master, result: { changeList } });
  const ftp = await work(fleet.current, { agent: ftp1, result });
  return { publish: sync.publish, carry: ftp.sync.carry };
}

const begin = async (input = {}) => {
  await createProject(fleet.current, { hosts: ["ftp1"], ...input });
  return publish(null, { scanned: true });
};

const driftEvents = async () => {
  const answer = await fleet.current.operate("GET", "/v1/audit-events?action=replica.drift");
  return answer.body.items;
};

test("a new replica is scanned, and later ones get the lists from its generation on", async () => {
  expect(await begin()).toEqual({
    publish: 1,
    carry: { generation: 1, from: 0, lists: null, files: 0, reconcile: false },
  });
  expect(await publish(listOf(2))).toEqual({
    publish: 2,
    carry: {
      generation: 2,
      from: 1,
      lists: [{ generation: 2, digest }],
      files: 0,
      reconcile: false,
    },
  });
});

test("a host that was away gets all lists that it lacks, in one order", async () => {
  await begin();
  const { master } = fleet.current;
  for (const generation of [2, 3]) {
    await trigger(fleet.current);
    await work(fleet.current, { agent: master, result: { changeList: listOf(generation) } });
  }
  const { carry } = await publish(listOf(4));
  expect(carry).toMatchObject({ from: 1, generation: 4 });
  expect(carry.lists.map(({ generation }: any) => generation)).toEqual([2, 3, 4]);
});

test("a list that is missing, too long, or of another generation means a scan", async () => {
  await begin();
  expect((await publish(null)).carry.lists).toBeNull();
  expect((await publish(listOf(7))).carry.lists).toBeNull();
  expect((await publish(listOf(4, 1001))).carry.lists).toBeNull();
});

test("what failed pulls changed makes a generation, though the one that succeeded changed nothing itself", async () => {
  await begin();
  const { master, ftp1 } = fleet.current;
  await trigger(fleet.current);
  await work(fleet.current, { agent: master, result: { changes: 0, changeList: listOf(2) } });
  expect((await work(fleet.current, { agent: ftp1 })).sync.carry).toMatchObject({ generation: 2 });
});

test.each([
  ["deletes from now on", { rsync: { delete: false } }, { rsync: { delete: true } }],
  ["keeps hard links from now on", { rsync: { hardLinks: false } }, { rsync: { hardLinks: true } }],
  ["has no trace files any more", { trace: { style: "debian" } }, { trace: null }],
  ["has another trace file", { trace: { style: "timestamp" } }, { trace: { path: "last" } }],
])("a project that %s is scanned once", async (_, before, after) => {
  await begin(before);
  await fleet.current.operate("PATCH", "/v1/projects/debian", after);
  expect((await publish(listOf(2), { scanned: true })).carry.lists).toBeNull();
  expect((await publish(listOf(3))).carry.lists).toHaveLength(1);
});

test("after a week a host compares its whole tree, also where nothing has changed", async () => {
  await begin();
  const { master, ftp1, clock } = fleet.current;
  await trigger(fleet.current);
  await work(fleet.current, { agent: master, result: { changes: 0 } });
  expect((await ftp1.poll()).lease).toBeNull();
  clock.offsetSeconds += 7 * day;
  await trigger(fleet.current);
  await work(fleet.current, { agent: master, result: { changes: 0 } });
  const { sync } = await work(fleet.current, { agent: ftp1, result: { scanned: true } });
  expect(sync.carry).toEqual({ generation: 1, from: 1, lists: [], files: 0, reconcile: true });
  await trigger(fleet.current);
  await work(fleet.current, { agent: master, result: { changes: 0 } });
  expect((await ftp1.poll()).lease).toBeNull();
});

test("drift becomes an event", async () => {
  await begin();
  fleet.current.clock.offsetSeconds += 7 * day;
  const drift = { entries: 2, examples: [">f.st...... file"] };
  await publish(listOf(2), { scanned: true, drift });
  expect(await driftEvents()).toMatchObject([
    { actor: "host ftp1", target: "replicas/debian/ftp1", after: drift },
  ]);
});

test("what a scan finds while the master pulls is no drift", async () => {
  await begin();
  const { master, ftp1, clock } = fleet.current;
  clock.offsetSeconds += 7 * day;
  await trigger(fleet.current);
  await work(fleet.current, { agent: master, result: { changeList: listOf(2) } });
  await trigger(fleet.current);
  openLease(await master.poll());
  const drift = { entries: 2, examples: [] };
  await work(fleet.current, { agent: ftp1, result: { scanned: true, drift } });
  expect(await driftEvents()).toEqual([]);
});
