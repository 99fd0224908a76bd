import { join, resolve } from "node:path";
import { AppError } from "../protocol/errors.ts";
import type { RunDetail } from "../protocol/run.ts";
import { hosts, rootOf, startAgent, startControlPlane, startUpstream } from "./fleet.ts";
import { mutate } from "./mutate.ts";
import { type Options, readOptions, usage } from "./options.ts";
import { elsewhere, makePlace, removePlace } from "./place.ts";
import { freePort, type Program, stopPrograms } from "./processes.ts";
import { createRunScreen } from "../cli/run-screen.ts";
import { followRun, hopSeconds, nextScheduledRun } from "./sync.ts";
import { makeTree, measure } from "./tree.ts";
import { verify } from "./verify.ts";

const print = (text: string) => process.stdout.write(`${text}\n`);

/** Each 15 seconds: the schedule of a demonstration, not of a mirror. */
const schedule = "*/15 * * * * *";

const hopText = (run: RunDetail) =>
  Object.entries(hopSeconds(run))
    .map(([host, seconds]) => `${host} ${seconds.toFixed(1)} s`)
    .join(", ");

async function demonstrate({
  options,
  directory,
  track,
  signal,
}: {
  options: Options;
  directory: string;
  track: (program: Program) => void;
  signal: AbortSignal;
}) {
  const place = { directory, track };
  print(`the demo is in ${directory}${options.keep ? "" : " (removed at the end)"}`);
  const isUrl = options.upstream?.includes("://") ?? false;
  const tree = isUrl ? null : join(directory, "upstream");
  if (tree)
    await makeTree({
      from: options.upstream === null ? null : resolve(options.upstream),
      target: tree,
      signal,
    });
  const upstream = tree ? await startUpstream(place, { tree }) : options.upstream!;
  print(`upstream:      ${upstream}`);
  const { url, client, dataDirectory } = await startControlPlane(place);
  print(`control plane: ${url}, data in ${dataDirectory}`);
  for (const words of await elsewhere({ directory })) print(`               ${words}`);
  const daemonPort = await freePort();
  for (const host of hosts) {
    await startAgent(place, {
      host,
      client,
      url,
      daemonPort,
      source: host === "master" ? upstream : `rsync://127.0.0.1:${daemonPort}/`,
    });
  }
  print("hosts:         master, ftp1 and ftp2 have joined");

  const project = await client.createProject({ name: "demo", upstream, schedule });
  const screen = createRunScreen({ output: process.stdout, hosts: [...hosts] });
  print(`\nfirst sync of project "${project.name}"`);
  const first = await followRun(client, {
    id: (await client.syncProject("demo")).id,
    draw: screen.draw,
  });
  print(`in sync: ${hopText(first)}`);

  const changes = tree ? await mutate({ directory: tree }) : null;
  const after = Date.now();
  print(
    changes
      ? `\nthe upstream has changed: ${changes.edited} edited, ${changes.added} added, ${changes.deleted} deleted, ${changes.renamed} renamed`
      : "\nthe upstream is yours: what you change there, the schedule carries",
  );
  print(`waiting for the schedule (${schedule})`);
  screen.next();
  const second = await followRun(client, {
    id: await nextScheduledRun(client, { project: "demo", after }),
    draw: screen.draw,
  });
  print(`in sync: ${hopText(second)}`);
  const verified = await verify({ directory, tree, url: upstream });
  const { files, bytes } = await measure(join(rootOf(directory, "ftp1"), "demo"));
  print(
    `verified: ${verified} entries on each FTP host equal the upstream (content, mode, mtime, links)`,
  );
  return {
    url,
    dataDirectory,
    summary: {
      ok: true,
      files,
      bytes,
      first: hopSeconds(first),
      second: hopSeconds(second),
      changes,
      verified,
    },
  };
}

function printHowTo({ url, dataDirectory }: { url: string; dataDirectory: string }) {
  print(`
API:         ${url}
admin token: ${join(dataDirectory, "admin-token")}
try:         export MIRRORFLEET_URL=${url} MIRRORFLEET_TOKEN=$(cat ${join(dataDirectory, "admin-token")})
             npm run -s mirrorfleet -- status
             npm run -s mirrorfleet -- project sync demo --follow
reference:   ${url}/docs

The fleet goes on syncing every 15 seconds. Ctrl-C ends and removes it.`);
}

async function main(): Promise<number> {
  const options = readOptions(process.argv.slice(2));
  if (options.help) {
    print(usage);
    return 0;
  }
  const programs: Program[] = [];
  const end = new AbortController();
  const interrupted = Promise.withResolvers<never>();
  interrupted.promise.catch(() => undefined);
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.on(name, () => {
      interrupted.reject(new AppError("conflict", `ended by ${name}`));
      end.abort();
    });
  }
  // A closed terminal must not end the demo before it has cleaned up.
  for (const stream of [process.stdout, process.stderr]) stream.on("error", () => undefined);
  let stopping = false;
  const track = (program: Program) => {
    if (stopping) program.child.kill("SIGKILL");
    programs.push(program);
  };
  const directory = await makePlace();
  const work = demonstrate({ options, directory, track, signal: end.signal });
  work.catch(() => undefined);
  let status = 0;
  let lastLine: string | undefined;
  try {
    const shown = await Promise.race([work, interrupted.promise]);
    if (options.once) lastLine = JSON.stringify(shown.summary);
    else {
      printHowTo(shown);
      await interrupted.promise;
    }
  } catch (error) {
    const reason = error instanceof AppError ? error.message : String((error as Error).stack);
    const bySignal = reason.startsWith("ended by SIG");
    status = bySignal ? 130 : 1;
    if (!bySignal) process.stderr.write(`demo: ${reason}\n`);
    if (options.once) lastLine = JSON.stringify({ ok: false, reason });
  }
  stopping = true;
  // In reverse: agents before the control plane, so that nothing reports to nobody.
  const stopAll = async () => {
    while (programs.length > 0) await stopPrograms(programs.splice(-1));
  };
  await stopAll();
  // What it was doing may still write; without its programs it gets no further than that.
  await work.catch(() => undefined);
  await stopAll();
  if (!options.keep) await removePlace({ directory });
  if (lastLine !== undefined) print(lastLine);
  return status;
}

main().then(
  (status) => process.exit(status),
  (error: unknown) => {
    process.stderr.write(
      `demo: ${error instanceof AppError ? error.message : (error as Error).stack}\n`,
    );
    process.exit(2);
  },
);
