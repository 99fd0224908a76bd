import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type Place, rootOf, startAgent, startControlPlane, startUpstream } from "../demo/fleet.ts";
import { freePort, type Program, stopPrograms } from "../demo/processes.ts";
import type { RunDetail } from "../protocol/run.ts";

/** Where one measurement has its files and programs. */
export type BenchPlace = Place & { programs: Program[] };

/** Programs and files of one measurement; both are gone when it has ended, also by Ctrl-C. */
export async function inTemporaryDirectory(
  measure: (place: BenchPlace) => Promise<void>,
): Promise<void> {
  const programs: Program[] = [];
  const directory = await mkdtemp(join(tmpdir(), "mirrorfleet-bench-"));
  // The embedded database's user passes through, where root starts it.
  await chmod(directory, 0o755);
  const interrupted = new Promise<never>((_, reject) => {
    for (const signal of ["SIGINT", "SIGTERM"] as const)
      process.once(signal, () => reject(new Error(`ended by ${signal}`)));
  });
  const track = (program: Program) => programs.push(program);
  try {
    await Promise.race([measure({ directory, track, programs }), interrupted]);
  } finally {
    while (programs.length > 0) await stopPrograms(programs.splice(-1));
    await rm(directory, { recursive: true, force: true, maxRetries: 3 });
  }
}

type Project = "bench" | "plain";

/**
 * A real fleet with two projects of one upstream: control plane, upstream, master, FTP hosts. These pull by plain
 * rsync unless said otherwise, as the tools do that they are compared with: what TLS costs is measured by itself.
 */
export async function startFleet(
  place: Place,
  { tree, hosts: count, tls = "no" }: { tree: string; hosts: number; tls?: "yes" | "no" },
) {
  const { directory } = place;
  const upstream = await startUpstream(place, { tree });
  const { url, client } = await startControlPlane(place);
  const daemonPort = await freePort();
  const masterSource = `rsync://127.0.0.1:${daemonPort}/`;
  const hosts = Array.from({ length: count }, (_, index) => `ftp${index + 1}`);
  for (const host of ["master", ...hosts])
    await startAgent(place, {
      host,
      client,
      url,
      daemonPort,
      source: host === "master" ? upstream : masterSource,
      settings: { MIRRORFLEET_DAEMON_TLS: tls },
    });
  // As the administrator of a Debian mirror would have it: the tree is like that of Debian's pool.
  const rsync = { indexesLast: "debian" as const };
  await client.createProject({ name: "bench", upstream, maxDeletePercent: 100, rsync });
  // In one pass, as one rsync does it.
  await client.createProject({ name: "plain", upstream });
  // The times are the run's own. Asked for every 20 ms it took a tenth of a core from what is measured.
  const ended = async ({ id }: { id: string }): Promise<RunDetail> => {
    for (let pause = 100; ; pause = Math.min(1000, pause * 1.2)) {
      const run = await client.getRun(id);
      if (run.state === "succeeded") return run;
      if (run.state === "failed" || run.state === "cancelled")
        throw new Error(
          `the run ${run.state}: ${run.tasks.map(({ host, result }) => `${host}: ${result?.message}`).join("; ")}`,
        );
      await sleep(pause);
    }
  };
  /** Syncs, and waits for the end. */
  const sync = async (project: Project = "bench") => ended(await client.syncProject(project));
  /** Has one host compare its whole tree with the master's, and waits for the end. */
  const resync = async (project: Project, host: string) =>
    ended(await client.resyncReplica(project, host));
  const treeOf = (host: string, project: Project = "bench") =>
    join(rootOf(directory, host), project);
  return { sync, resync, hosts, treeOf };
}

const seconds = (from: string, to: string) => (Date.parse(to) - Date.parse(from)) / 1000;

/** Seconds from the end of the master's pull to the end of each host's sync. */
export function hopsOf(run: RunDetail): number[] {
  const master = run.tasks.find(({ role }) => role === "master")!;
  return run.tasks
    .filter(({ role }) => role === "ftp")
    .map(({ finishedAt }) => seconds(master.finishedAt!, finishedAt!));
}
