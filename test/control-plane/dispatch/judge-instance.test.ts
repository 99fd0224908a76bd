import { randomUUID } from "node:crypto";
import fc from "fast-check";
import { expect, test } from "vitest";
import {
  clonedText,
  judgeInstance,
  type Judgement,
} from "../../../control-plane/dispatch/judge-instance.ts";
import type { Instances } from "../../../control-plane/db/schema/hosts.ts";
import type { Instance } from "../../../protocol/instance.ts";

const instanceOf = (machine: string): Instance => ({
  id: randomUUID(),
  machine,
  machineId: null,
  bootId: null,
});

/** A poll as it was sent: its process, and what that had been asked to say. */
type Sent = { instance: Instance; confirmed: string | null };

/** A control plane's memory of one host, and processes that poll it. */
function makeWorld() {
  let known: Instances | null = null;
  const answers = new Map<string, string>();
  const sent: Sent[] = [];
  const arrive = ({ instance, confirmed }: Sent): Judgement => {
    const now = new Date().toISOString();
    const judgement = judgeInstance(known, {
      instance,
      confirmed,
      now,
      newConfirm: randomUUID(),
    });
    if (judgement.kind === "next") known = judgement.instances;
    return judgement;
  };
  /** A process that lives polls, and hears the answer. */
  const poll = (instance: Instance): Judgement["kind"] => {
    const one = { instance, confirmed: answers.get(instance.id) ?? null };
    sent.push(one);
    const judgement = arrive(one);
    if (judgement.kind === "ask") answers.set(instance.id, judgement.confirm);
    return judgement.kind;
  };
  /** Polls until it is known, or the clone is: two polls at most. */
  const settle = (instance: Instance) => {
    const first = poll(instance);
    return first === "ask" ? poll(instance) : first;
  };
  const repeat = (index: number) => {
    const old = sent[index % Math.max(1, sent.length)];
    return old && arrive(old).kind;
  };
  return { poll, settle, repeat, current: () => known?.current.id };
}

test("a process that was replaced, and goes on, is found with its second poll", () => {
  const world = makeWorld();
  const [one, copy] = [instanceOf("ftp1"), instanceOf("ftp1-copy")];
  expect(world.poll(one)).toBe("next");
  expect(world.poll(copy)).toBe("ask");
  expect(world.poll(copy)).toBe("next");
  expect(world.poll(one)).toBe("ask");
  expect(world.poll(copy)).toBe("known");
  expect(world.poll(one)).toBe("cloned");
});

test("two that begin at once, one poll each in turn, are found", () => {
  const world = makeWorld();
  const [one, copy] = [instanceOf("a"), instanceOf("b")];
  const seen: string[] = [];
  for (let round = 0; round < 6; round++) seen.push(world.poll(one), world.poll(copy));
  expect(seen).toContain("cloned");
});

test("what is said of a clone names both machines", () => {
  const since = "2026-01-02T03:04:05.678Z";
  const text = clonedText([
    { ...instanceOf("ftp1"), since },
    { ...instanceOf("copy"), machineId: "0123456789ab", since },
  ]);
  expect(text).toContain("ftp1 (machine unknown, boot unknown, since 2026-01-02T03:04:05Z)");
  expect(text).toContain("copy (machine 0123456789ab");
});

/** What may happen on one machine: its process polls, starts anew, or something that was sent long ago arrives again. */
const event = fc.oneof(
  { weight: 4, arbitrary: fc.constant({ kind: "poll" as const }) },
  { weight: 2, arbitrary: fc.constant({ kind: "restart" as const }) },
  { weight: 3, arbitrary: fc.nat(1000).map((index) => ({ kind: "repeat" as const, index })) },
);

test("restarts, crash loops, and repeated polls of processes that have ended are never a clone", () => {
  fc.assert(
    fc.property(fc.array(event, { maxLength: 200 }), (events) => {
      const world = makeWorld();
      let process = instanceOf("ftp1");
      for (const each of events) {
        if (each.kind === "restart") process = instanceOf("ftp1");
        else if (each.kind === "poll") expect(world.poll(process)).not.toBe("cloned");
        else expect(world.repeat(each.index)).not.toBe("cloned");
      }
      // And the process that lives is the host, whatever came late.
      expect(["known", "next"]).toContain(world.settle(process));
      expect(world.current()).toBe(process.id);
    }),
    { numRuns: 500 },
  );
});

test("two that live are found within six polls of each, whatever came before and in between", () => {
  fc.assert(
    fc.property(fc.array(event, { maxLength: 60 }), fc.array(fc.boolean()), (events, order) => {
      const world = makeWorld();
      let one = instanceOf("ftp1");
      for (const each of events) {
        if (each.kind === "restart") one = instanceOf("ftp1");
        else if (each.kind === "poll") world.poll(one);
        else world.repeat(each.index);
      }
      const copy = instanceOf("ftp1-copy");
      const seen: string[] = [];
      for (const first of order) seen.push(world.poll(first ? one : copy));
      for (let round = 0; round < 6; round++) seen.push(world.poll(one), world.poll(copy));
      expect(seen).toContain("cloned");
    }),
    { numRuns: 500 },
  );
});
