import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import fc from "fast-check";
import { expect, test } from "vitest";
import { type Fate, makeAgentsFleet } from "../../helpers/agents-fleet.ts";
import { mutate, mutation } from "../../helpers/mutations.ts";

const fate = fc.oneof(
  { weight: 5, arbitrary: fc.constant({ kind: "whole" as const }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("cut" as const), bytes: fc.nat(3000) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("ended" as const), after: fc.nat(60) }) },
  { weight: 1, arbitrary: fc.constant({ kind: "lost" as const }) },
);
const event = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant("change" as const), mutation }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("pull" as const), fate }) },
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant("follow" as const), host: fc.nat(1), fate }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("both" as const), host: fc.nat(1), fate }) },
);

const trace = fc.constantFrom(
  {},
  { trace: { style: "debian" as const } },
  { trace: { style: "timestamp" as const } },
  // A name that mutations use as well.
  { trace: { style: "timestamp" as const, path: "a" } },
);

// MIRRORFLEET_PROPERTY_RUNS=1000 for a long one.
const numRuns = Number(process.env["MIRRORFLEET_PROPERTY_RUNS"] ?? 12);

test(
  "whatever changes, breaks, lags or is lost, a host that has followed its master equals it",
  { timeout: 3_600_000 },
  async () => {
    const fleet = await makeAgentsFleet();
    const counts = { scan: 0, lists: 0, failed: 0, nothing: 0 };
    let seconds = 1_000_000_000;
    await fc.assert(
      fc.asyncProperty(
        fc.array(event, { minLength: 5, maxLength: 25 }),
        trace,
        async (events, wants) => {
          const project = await fleet.begin(wants);
          await mkdir(join(project.root, "project/trace"), { recursive: true });
          const follow = async (host: number, how: Fate) => {
            const ended = await project.follow(host, how);
            counts[ended] += 1;
            // A pull that did not succeed has left the master between two generations.
            if (project.isPublished() && (ended === "lists" || ended === "scan"))
              expect(await project.differences(host)).toEqual([]);
          };
          const whole = { kind: "whole" as const };
          for (const each of events) {
            seconds += 10;
            if (each.do === "change") await mutate({ root: project.root, seconds }, each.mutation);
            else if (each.do === "pull") await project.pull(each.fate);
            else if (each.do === "follow") await follow(each.host, each.fate);
            // What a host reads while its master pulls is made good by the generation that follows.
            else await Promise.all([project.pull(whole), project.follow(each.host, each.fate)]);
          }
          await project.pull(whole);
          for (const host of [0, 1]) {
            await follow(host, whole);
            expect(await project.differences(host)).toEqual([]);
          }
          await project.remove();
        },
      ),
      { numRuns },
    );
    expect(counts.lists).toBeGreaterThan(numRuns / 2);
    if (numRuns > 100) process.stderr.write(`${JSON.stringify(counts)}\n`);
  },
);
