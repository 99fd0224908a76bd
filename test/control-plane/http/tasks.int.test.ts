import { expect, test } from "vitest";
import { testResult } from "../../helpers/control-plane.ts";
import { createProject, openLease, trigger, useFleet, work } from "../../helpers/fleet.ts";

const fleet = useFleet();

async function send(lease: { taskId: string; token: string }, kind: string, body: string) {
  return fleet.current.app.request(`/v1/tasks/${lease.taskId}/${kind}`, {
    method: "POST",
    headers: { authorization: `Bearer ${lease.token}` },
    body,
  });
}

const readLog = (id: string, query = "", headers: Record<string, string> = {}) =>
  fleet.current.app.request(`/v1/tasks/${id}/log${query}`, {
    headers: { authorization: `Bearer ${fleet.current.admin}`, ...headers },
  });

test("a push that waits is answered when every host has the tree", async () => {
  const { operate, master, ftp1, ftp2 } = fleet.current;
  await createProject(fleet.current);
  const answer = operate("POST", "/v1/projects/debian/sync?wait=1");
  const poll = async () => {
    for (;;) {
      const found = await master.poll();
      if (found.lease) return openLease(found);
    }
  };
  await send(await poll(), "result", JSON.stringify(testResult()));
  await work(fleet.current, { agent: ftp1 });
  await work(fleet.current, { agent: ftp2 });
  expect(await answer).toMatchObject({ status: 201, body: { state: "succeeded" } });
});

test("a log is whole though its pieces come again, cut elsewhere, late and at once", async () => {
  await createProject(fleet.current);
  await trigger(fleet.current);
  const lease = openLease(await fleet.current.master.poll());
  const log = "first line\nsecond line\nthird line\n";
  await send(lease, "log?offset=0", log.slice(0, 11));
  // Its answer was lost: the agent sends from there, with what has come since.
  await Promise.all([
    send(lease, "log?offset=0", log.slice(0, 23)),
    send(lease, "log?offset=0", log.slice(0, 17)),
  ]);
  // An agent that has started again sends all of it.
  expect(await (await send(lease, "log?offset=0", log)).json()).toMatchObject({
    nextOffset: log.length,
  });
  await send(lease, "log?offset=11", log.slice(11, 23));
  expect(await (await readLog(lease.taskId)).text()).toBe(log);
  expect(await (await readLog(lease.taskId, "?offset=13")).text()).toBe(log.slice(13));
});

test("a log is read whole, from a byte on, and by attempt", async () => {
  await createProject(fleet.current);
  await trigger(fleet.current);
  const lease = openLease(await fleet.current.master.poll());
  await send(lease, "log?offset=0", "first line\n");
  await send(lease, "log?offset=11", "second line\n");
  await send(lease, "log?offset=0", "first line\n");
  expect(await (await readLog(lease.taskId)).text()).toBe("first line\nsecond line\n");
  expect(await (await readLog(lease.taskId, "?offset=6")).text()).toBe("line\nsecond line\n");
  expect(await (await readLog(lease.taskId, "?offset=11")).text()).toBe("second line\n");
  expect(await (await readLog(lease.taskId, "?offset=999")).text()).toBe("");
  expect(await (await readLog(lease.taskId, "?attempt=7")).text()).toBe("");
});

test("a range of a log is answered as HTTP says: 206 with its place, 416 beyond the end, all where it cannot be", async () => {
  await createProject(fleet.current);
  await trigger(fleet.current);
  const lease = openLease(await fleet.current.master.poll());
  const log = "first line\nsecond line\nthird line\n";
  await send(lease, "log?offset=0", log.slice(0, 11));
  await send(lease, "log?offset=11", log.slice(11));
  const part = async (range: string, query = "") => {
    const response = await readLog(lease.taskId, query, { range });
    const text = await response.text();
    return [response.status, response.headers.get("content-range"), text];
  };
  const { length } = log;
  expect(await part("bytes=6-15")).toEqual([206, `bytes 6-15/${length}`, log.slice(6, 16)]);
  expect(await part("bytes=12-")).toEqual([206, `bytes 12-33/${length}`, log.slice(12)]);
  expect(await part("bytes=-5")).toEqual([206, `bytes 29-33/${length}`, log.slice(29)]);
  expect(await part("bytes=-500")).toEqual([206, `bytes 0-33/${length}`, log]);
  expect(await part("bytes=29-500")).toEqual([206, `bytes 29-33/${length}`, log.slice(29)]);
  for (const beyond of ["bytes=34-", "bytes=-0", "bytes=99-100"])
    expect((await part(beyond)).slice(0, 2)).toEqual([416, `bytes */${length}`]);
  for (const whole of ["bytes=0-1,4-5", "lines=1-2", "bytes=9-3", "bytes=-", "x"])
    expect(await part(whole)).toEqual([200, null, log]);
  expect(await part("bytes=0-1", "?offset=11")).toEqual([200, null, log.slice(11)]);
});

test("a log that is followed comes as it is written, and ends with its attempt", async () => {
  await createProject(fleet.current);
  await trigger(fleet.current);
  const lease = openLease(await fleet.current.master.poll());
  await send(lease, "log?offset=0", "before\n");
  const followed = (await readLog(lease.taskId, "?follow=1")).text();
  await send(lease, "log?offset=7", "while\n");
  await send(lease, "result", JSON.stringify(testResult({ logBytes: 13 })));
  expect(await followed).toBe("before\nwhile\n");
});

test("tasks and runs are found by project, host, state and time", async () => {
  const { operate, master, ftp1 } = fleet.current;
  await createProject(fleet.current);
  await createProject(fleet.current, { name: "other" });
  await trigger(fleet.current);
  await work(fleet.current, { agent: master });
  await work(fleet.current, { agent: ftp1, result: { outcome: "fatal" } });
  const found = async (path: string) => (await operate("GET", path)).body.items.length;
  expect(await found("/v1/tasks?project=debian")).toBe(3);
  expect(await found("/v1/tasks?project=other")).toBe(0);
  expect(await found("/v1/tasks?host=ftp1&state=failed")).toBe(1);
  expect(await found("/v1/tasks?host=ftp2&state=failed")).toBe(0);
  expect(await found("/v1/runs?host=ftp1&state=distributing")).toBe(1);
  expect(await found("/v1/runs?since=2100-01-01T00:00:00Z")).toBe(0);
  expect(await found("/v1/runs?until=2100-01-01T00:00:00Z&trigger=manual")).toBe(1);
});
