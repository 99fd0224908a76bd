import { expect, test } from "vitest";
import { openWaitingRoom } from "../../../agent/rsync/waiting-room.ts";
import { networkOf } from "../../../protocol/network.ts";

test("whoever has a whole IPv6 network has 64 places with all of its addresses, and others keep theirs", () => {
  const room = openWaitingRoom();
  const enter = (address: string) => room.enter({ network: networkOf(address) });
  const inside = Array.from({ length: 64 }, (_, at) => enter(`2001:db8:1:2::${at.toString(16)}`));
  expect(inside.every((each) => "leave" in each)).toBe(true);
  expect(enter("2001:db8:1:2:ffff::1")).toMatchObject({
    why: expect.stringContaining("64 of its"),
  });
  expect(enter("2001:db8:1:3::1")).toHaveProperty("leave");
  const [first] = inside;
  if (first && "leave" in first) {
    first.leave();
    // Twice is once.
    first.leave();
  }
  expect(enter("2001:db8:1:2::1")).toHaveProperty("leave");
  expect(enter("2001:db8:1:2::2")).toHaveProperty("why");
});

test("all together have 256 places", () => {
  const room = openWaitingRoom();
  for (let at = 0; at < 256; at++)
    expect(room.enter({ network: `192.0.2.${at}` })).toHaveProperty("leave");
  expect(room.enter({ network: "198.51.100.1" })).toMatchObject({
    why: expect.stringContaining("256 connections, of all hosts"),
  });
});
