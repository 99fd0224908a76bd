import { parseArgs } from "node:util";
import { fanout } from "./fanout.ts";
import { inTemporaryDirectory } from "./fleet.ts";
import { history } from "./history.ts";
import { propagate } from "./propagate.ts";

const usage = `npm run bench -- fanout|propagate|history [options]: measurements on this machine, on loopback.

fanout     what a host's sync costs after K changes, beside rsync itself
  --files N      files of the tree (default 300000)
  --changes K,K  numbers of changes (default 0,10,100,1000,10000)
  --hosts H,H    numbers of FTP hosts (default 1,8)
propagate  seconds from the end of the master's pull to the last host in sync
  --hosts H      FTP hosts (default 8)
  --rounds R     syncs (default 50)
history    what leases, results and schedules cost beside many finished tasks
  --tasks N,N    finished tasks (default 1000,1000000,10000000; 15 GB of disk while it runs)
  --rounds R     runs of eleven tasks in each (default 50)
`;

const numbers = (text: string) => text.split(",").map(Number);

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      files: { type: "string", default: "300000" },
      changes: { type: "string", default: "0,10,100,1000,10000" },
      hosts: { type: "string" },
      rounds: { type: "string", default: "50" },
      tasks: { type: "string", default: "1000,1000000,10000000" },
    },
  });
  const measurement = positionals[0];
  if (measurement === "fanout")
    for (const hosts of numbers(values.hosts ?? "1,8"))
      await inTemporaryDirectory((place) =>
        fanout(place, { files: Number(values.files), changes: numbers(values.changes), hosts }),
      );
  else if (measurement === "propagate")
    await inTemporaryDirectory((place) =>
      propagate(place, { hosts: Number(values.hosts ?? 8), rounds: Number(values.rounds) }),
    );
  else if (measurement === "history")
    await inTemporaryDirectory((place) =>
      history(place, { sizes: numbers(values.tasks), rounds: Number(values.rounds) }),
    );
  else {
    process.stderr.write(usage);
    process.exitCode = 2;
  }
}

await main();
