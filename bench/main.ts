import { parseArgs } from "node:util";
import { fanout } from "./fanout.ts";
import { inTemporaryDirectory } from "./fleet.ts";
import { propagate } from "./propagate.ts";

const usage = `npm run bench -- fanout|propagate [options]: measurements on this machine, on loopback.

fanout     what a host's sync costs after K changes, beside rsync itself
  --files N      files of the tree (default 300000)
  --changes K,K  numbers of changes (default 0,10,100,1000,10000)
  --hosts H,H    numbers of FTP hosts (default 1,8)
propagate  seconds from the end of the master's pull to the last host in sync
  --hosts H      FTP hosts (default 8)
  --rounds R     syncs (default 50)
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
  else {
    process.stderr.write(usage);
    process.exitCode = 2;
  }
}

await main();
