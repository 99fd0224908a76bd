import { setTimeout as sleep } from "node:timers/promises";
import { clock } from "../figures.ts";
import { countForParent, instructions, tell } from "../workers.ts";
import { type Fleet, type Host, makeAgent } from "./agent.ts";
import { openLine } from "./line.ts";

/** Started as a process: agents that poll, report and poll again, until the process is ended. */
async function main(): Promise<void> {
  const { fleet, hosts, tellAnswers } = await instructions<{
    fleet: Fleet;
    hosts: Host[];
    tellAnswers: boolean;
  }>();
  const count = countForParent();
  const work = async (host: Host) => {
    const line = openLine(fleet);
    const agent = makeAgent(fleet, host);
    for (;;) {
      const lease = await agent.poll(line);
      if (lease === null) {
        if (tellAnswers) tell({ kind: "answered", host: host.id, at: clock() });
        continue;
      }
      tell({ kind: "got", at: clock() });
      await agent.heartbeat(line, lease);
      await agent.finish(line, lease);
      count();
    }
  };
  const running = hosts.map(work);
  // Held polls do not answer: a second without a failure is as much as can be known.
  await Promise.race([sleep(tellAnswers ? 0 : 1000 + hosts.length * 3), ...running]);
  tell({ kind: "ready" });
  await Promise.all(running);
}

await main();
