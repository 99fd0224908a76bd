import { parseArgs } from "node:util";
import { dashboard } from "./dashboard.ts";
import { dispatch } from "./dispatch.ts";
import { executable } from "./executable.ts";
import { fanout } from "./fanout.ts";
import { inTemporaryDirectory } from "./fleet.ts";
import { history } from "./history.ts";
import { idle } from "./idle.ts";
import { propagate } from "./propagate.ts";
import { tls } from "./tls.ts";

const usage = `npm run bench -- fanout|propagate|tls|history|dispatch|idle|dashboard|executable [options]: measurements on this machine, on loopback.

fanout     what a host's sync costs after K changes, beside rsync itself
  --files N      files of the tree (default 300000)
  --changes K,K  numbers of changes (default 0,10,100,1000,10000)
  --hosts H,H    numbers of FTP hosts (default 1,8)
propagate  seconds from the end of the master's pull to the last host in sync
  --hosts H      FTP hosts (default 8)
  --rounds R     syncs (default 50)
tls        what TLS between master and FTP host costs, beside plain rsync; wants the machine to itself
  --megabytes M  in eight files (default 2048; five times that of disk while it runs)
  --rounds R     syncs of one changed file (default 20)
history    what leases, results and schedules cost beside many finished tasks
  --tasks N,N    finished tasks (default 1000,1000000,10000000; 15 GB of disk while it runs)
  --rounds R     runs of eleven tasks in each (default 50)
dispatch   tasks' lives per second and latency, beside graphile-worker and pg-boss
  --agents N,N   agents that wait, fewest first (default 1,100,1000)
  --rounds R     tasks of which the latency is taken (default 200)
  --tasks T      tasks that are enqueued one by one (default 1000)
idle       what agents cost that wait: memory, CPU, statements, time to wake
  --agents N     agents (default 10000; each is two open files: see ulimit -n)
  --rounds R     agents that are woken one by one (default 200)
dashboard  the page of a whole fleet beside a plain JSON answer of the same data
  --projects N   projects (default 500)
  --hosts H      hosts (default 50)
  --rounds R     how often each is asked for (default 20)
executable what the agent takes as sources, as one file under Node, and as an executable
  --rounds R     starts of each (default 20)
`;

const numbers = (text: string) => text.split(",").map(Number);

/** Options that take several numbers, in some measurements. */
const lists = new Set(["changes", "hosts", "agents", "tasks"]);

type Values = { [Name in "files" | "changes" | "megabytes" | "projects"]: string } & {
  [Name in "hosts" | "rounds" | "agents" | "tasks"]?: string;
};

/** Reads what is to be measured, and how much of it. @throws Error that says what is wrong. */
function readArguments() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      files: { type: "string", default: "300000" },
      changes: { type: "string", default: "0,10,100,1000,10000" },
      hosts: { type: "string" },
      rounds: { type: "string" },
      agents: { type: "string" },
      tasks: { type: "string" },
      megabytes: { type: "string", default: "2048" },
      projects: { type: "string", default: "500" },
      help: { type: "boolean" },
    },
  });
  const { help = false, ...amounts } = values;
  for (const [name, text] of Object.entries(amounts))
    if (!(lists.has(name) ? /^\d+(,\d+)*$/ : /^\d+$/).test(text))
      throw new Error(
        `--${name} must be a number${lists.has(name) ? ", or several with commas between" : ""}`,
      );
  return { values: amounts as Values, help, measurement: positionals[0] };
}

/** False: there is no such measurement. */
async function measure({
  values,
  measurement,
}: {
  values: Values;
  measurement: string | undefined;
}): Promise<boolean> {
  if (measurement === "fanout")
    for (const hosts of numbers(values.hosts ?? "1,8"))
      await inTemporaryDirectory((place) =>
        fanout(place, { files: Number(values.files), changes: numbers(values.changes), hosts }),
      );
  else if (measurement === "propagate")
    await inTemporaryDirectory((place) =>
      propagate(place, { hosts: Number(values.hosts ?? 8), rounds: Number(values.rounds ?? 50) }),
    );
  else if (measurement === "tls")
    await inTemporaryDirectory((place) =>
      tls(place, {
        megabytes: Number(values.megabytes),
        rounds: Number(values.rounds ?? 20),
      }),
    );
  else if (measurement === "dispatch")
    await inTemporaryDirectory((place) =>
      dispatch(place, {
        agents: numbers(values.agents ?? "1,100,1000"),
        rounds: Number(values.rounds ?? 200),
        tasks: Number(values.tasks ?? 1000),
      }),
    );
  else if (measurement === "idle")
    await inTemporaryDirectory((place) =>
      idle(place, {
        agents: Number(values.agents ?? 10_000),
        rounds: Number(values.rounds ?? 200),
      }),
    );
  else if (measurement === "dashboard")
    await inTemporaryDirectory((place) =>
      dashboard(place, {
        projects: Number(values.projects),
        hosts: Number(values.hosts ?? 50),
        rounds: Number(values.rounds ?? 20),
      }),
    );
  else if (measurement === "executable")
    await inTemporaryDirectory((place) =>
      executable(place, { rounds: Number(values.rounds ?? 20) }),
    );
  else if (measurement === "history")
    await inTemporaryDirectory((place) =>
      history(place, {
        sizes: numbers(values.tasks ?? "1000,1000000,10000000"),
        rounds: Number(values.rounds ?? 50),
      }),
    );
  else return false;
  return true;
}

async function main(): Promise<number> {
  let read: ReturnType<typeof readArguments>;
  try {
    read = readArguments();
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n\n${usage}`);
    return 2;
  }
  if (read.help) process.stdout.write(usage);
  else if (!(await measure(read))) {
    process.stderr.write(usage);
    return 2;
  }
  return 0;
}

process.exitCode = await main();
