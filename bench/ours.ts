import { startControlPlane } from "../demo/fleet.ts";
import { copyProject, enrolHosts } from "./agents/fleet.ts";
import { type Line, openLine } from "./agents/line.ts";
import type { BenchDatabase } from "./database.ts";
import type { Contender } from "./contender.ts";
import { clock } from "./figures.ts";
import type { BenchPlace } from "./fleet.ts";
import { startWorkers } from "./workers.ts";

/** Hosts that have projects of their own; tasks are enqueued one by one on these. */
const ownHosts = 100;

/** Milliseconds for which an idle connection is used again; the server closes it after five seconds. */
const keepMilliseconds = 2000;

/** Requests of an operator, over connections that are kept. */
function operatorLines({ url, token }: { url: string; token: string }) {
  const { hostname, port } = new URL(url);
  let free: { line: Line; used: number }[] = [];
  return async (project: string): Promise<void> => {
    free = free.filter(({ used }) => clock() - used < keepMilliseconds);
    const line = free.pop()?.line ?? openLine({ host: hostname, port: Number(port) });
    const { status, body } = await line.request({
      method: "POST",
      path: `/v1/projects/${project}/sync`,
      authorization: token,
      body: "{}",
    });
    free.push({ line, used: clock() });
    if (status !== 201) throw new Error(`${status}: ${body}`);
  };
}

/** The product: a control plane on the database, hosts that are enrolled, projects that are hosted on the master. */
export async function openOurs(
  place: BenchPlace,
  {
    database,
    hosts: count,
    projects: fewest,
  }: { database: BenchDatabase; hosts: number; projects: number },
): Promise<Contender> {
  // Each host has as many, so that the one which waits alone has each hundredth.
  const projects = Math.ceil(fewest / ownHosts) * ownHosts;
  const { url, client, token } = await startControlPlane(place, {
    DATABASE_URL: database.url("mirrorfleet"),
  });
  const { identity, hosts: masters } = await enrolHosts(database, {
    names: ["master"],
    master: true,
  });
  const { hosts } = await enrolHosts(database, {
    names: Array.from({ length: Math.max(count, ownHosts) }, (_, index) => `ftp${index}`),
    master: false,
  });
  await client.createProject({ name: "all" });
  await copyProject(database, { template: "all", copies: projects, hosts: ownHosts });
  const { hostname, port } = new URL(url);
  const fleet = { host: hostname, port: Number(port), identity };
  const sync = operatorLines({ url, token });
  let waiting = 0;
  return {
    name: "mirrorfleet",
    one: (index) =>
      sync(`p${waiting < ownHosts ? (index * ownHosts) % projects : index % projects}`),
    batch: () => sync("all"),
    start: async (agents) => {
      waiting = agents;
      return startWorkers(place, {
        file: "agents/run.ts",
        input: { fleet, hosts: [...masters, ...hosts.slice(0, agents)], tellAnswers: false },
      });
    },
  };
}
