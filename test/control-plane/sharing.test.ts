import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { openShare, shared } from "../../control-plane/sharing.ts";

test("who asks at the same time or soon after gets one reading, and later another", async () => {
  let readings = 0;
  const read = shared({ milliseconds: 50, read: async () => ++readings });
  expect(await Promise.all([read(), read()])).toEqual([1, 1]);
  expect(await read()).toBe(1);
  await sleep(200);
  expect(await read()).toBe(2);
});

test("what lasts longer is kept for as long as was said, by its name", async () => {
  const share = openShare({ milliseconds: 20 });
  let readings = 0;
  const read = async () => ++readings;
  expect(await share("lasting", read, 60)).toBe(1);
  await sleep(200);
  expect(await share("lasting", read, 60)).toBe(1);
  expect(await share("another", read, 60)).toBe(2);
});

test("a reading that failed is not kept", async () => {
  let readings = 0;
  const read = shared({
    milliseconds: 60_000,
    read: async () => {
      readings += 1;
      if (readings === 1) throw new Error("the database is away");
      return readings;
    },
  });
  await expect(read()).rejects.toThrow("away");
  expect(await read()).toBe(2);
});

test("a name whose reading is forgotten is read anew", async () => {
  const share = openShare({ milliseconds: 50 });
  let readings = 0;
  const read = async () => ++readings;
  expect(await share("a", read)).toBe(1);
  await sleep(200);
  expect(await share("a", read)).toBe(2);
});

test("readings of one name are shared, and those of another are not", async () => {
  const share = openShare({ milliseconds: 60_000 });
  let readings = 0;
  const read = async () => ++readings;
  expect(await Promise.all([share("a", read), share("a", read), share("b", read)])).toEqual([
    1, 1, 2,
  ]);
});
