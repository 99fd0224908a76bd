import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { openWaiters } from "../../../control-plane/dispatch/waiters.ts";

const stateOf = (woken: Promise<boolean>) => Promise.race([woken, sleep(20, "waiting")]);

test("word for a host wakes all of its waiters, and no other host's", async () => {
  const { wait, wakeHost } = openWaiters();
  const [one, two, other] = ["a", "a", "b"].map((hostId) => wait({ hostId, seconds: 60 }).woken);
  wakeHost("a");
  expect(await Promise.all([one!, two!, other!].map(stateOf))).toEqual([true, true, "waiting"]);
});

test("word that comes before anybody has asked for it is not lost", async () => {
  const { wait, wakeHost } = openWaiters();
  const waiter = wait({ hostId: "a", seconds: 60 });
  wakeHost("a");
  await sleep(5);
  expect(await stateOf(waiter.woken)).toBe(true);
});

test("a wait ends in its time without news; one that was ended is not woken, and others of its host still are", async () => {
  const { wait, wakeHost } = openWaiters();
  expect(await wait({ hostId: "a", seconds: 0.01 }).woken).toBe(false);
  const [ended, other] = [wait({ hostId: "a", seconds: 60 }), wait({ hostId: "a", seconds: 60 })];
  ended.wake(false);
  wakeHost("a");
  expect(await Promise.all([ended.woken, other.woken].map(stateOf))).toEqual([false, true]);
});

test("all are woken at once, with news or without", async () => {
  const { wait, wakeAll } = openWaiters();
  for (const news of [true, false]) {
    const waiters = ["a", "a", "b"].map((hostId) => wait({ hostId, seconds: 60 }).woken);
    wakeAll(news);
    expect(await Promise.all(waiters.map(stateOf))).toEqual([news, news, news]);
  }
});
