import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { compareTrees } from "../demo/compare.ts";
import type { Fleet } from "./fleet.ts";
import { type History, now } from "./history.ts";
import { projects } from "./load.ts";

/** Takes back every fault that lasts. */
export async function heal(fleet: Fleet): Promise<void> {
  for (const { service, link, clock } of fleet.controlPlanes) {
    service.signal("SIGCONT");
    link.set("open");
    await writeFile(clock, "0");
  }
  for (const { service, link, clock, disks, cable } of fleet.hosts) {
    service.signal("SIGCONT");
    link.set("pass");
    await cable?.set("open");
    await disks?.state.clear();
    await disks?.mirror.clear();
    await writeFile(clock, "0");
  }
  fleet.operators.set("pass");
  fleet.upstream.link.set("open");
}

/** Tries again until it works, or two minutes have passed. */
async function persist<Value>(action: () => Promise<Value>): Promise<Value> {
  for (const until = now() + 120_000; ; await sleep(300)) {
    try {
      return await action();
    } catch (error) {
      if (now() > until) throw error;
    }
  }
}

/** Gives each project its schedule; tells since when. */
export async function schedule(fleet: Fleet, { history }: { history: History }): Promise<void> {
  for (const { name, everySeconds } of projects) {
    if (everySeconds === null) continue;
    await fleet.client.patchProject(name, { schedule: `*/${everySeconds} * * * * *` });
    history.schedules.push({ project: name, everySeconds, from: now(), until: 0 });
  }
}

/** Takes the schedules away. What was due before is materialised first: the checker counts to there. */
export async function unschedule(fleet: Fleet, { history }: { history: History }): Promise<void> {
  for (const entry of history.schedules) {
    entry.until = now();
    const until = new Date(entry.until);
    await persist(async () => {
      const { nextRunAt } = await fleet.client.getProject(entry.project);
      if (nextRunAt === null || Date.parse(nextRunAt) <= until.getTime())
        throw new Error("not yet");
    });
    await persist(() => fleet.client.patchProject(entry.project, { schedule: null }));
  }
}

const activeRuns = (fleet: Fleet) =>
  fleet.database.use(async (sql) => {
    const [row] = await sql`select
      (select count(*)::int from runs where state in ('queued', 'running', 'distributing'))
      + (select count(*)::int from tasks where state in ('queued', 'leased')) as active`;
    return Number(row?.["active"]);
  });

/** Waits until nothing is under way and no agent has anything to tell; false where that takes too long. */
export async function settle(fleet: Fleet, { seconds }: { seconds: number }): Promise<boolean> {
  for (const until = now() + seconds * 1000; now() < until; await sleep(200)) {
    const active = await persist(() => activeRuns(fleet));
    if (active === 0 && fleet.hosts.every(({ spool }) => spool.isEmpty())) return true;
  }
  return false;
}

/** Compares each FTP host with the master: of `when`, and only where the control plane says that they are equal. */
export async function compareCurrent(
  fleet: Fleet,
  { history }: { history: History },
): Promise<void> {
  const current = await fleet.database.use(
    (sql) => sql`
      select p.name as project, h.name as host from replicas r
      join projects p on p.id = r.project_id join hosts h on h.id = r.host_id
      where r.role = 'ftp' and not p.unpublished and p.generation > 0 and r.generation = p.generation`,
  );
  const [master] = fleet.hosts;
  for (const row of current) {
    const [project, host] = [String(row["project"]), String(row["host"])];
    const { root } = fleet.hosts.find(({ name }) => name === host)!;
    const { differences } = await compareTrees({
      expected: join(master!.root, project),
      actual: join(root, project),
    });
    history.trees.push({
      project,
      host,
      when: "though it carries the master's generation",
      differences,
    });
  }
}

/** Syncs each project a last time, until it succeeds, and compares every host with the upstream. */
export async function finalSync(fleet: Fleet, { history }: { history: History }): Promise<void> {
  for (const { name: project } of projects) {
    await persist(async () => {
      const { id } = await fleet.client.syncProject(project);
      for (;;) {
        const { state } = await fleet.client.getRun(id);
        if (state === "succeeded") return;
        if (state === "failed" || state === "cancelled") throw new Error(`the last run ${state}`);
        await sleep(100);
      }
    });
    for (const { name: host, root } of fleet.hosts) {
      const { differences } = await compareTrees({
        expected: join(fleet.upstream.tree, project),
        actual: join(root, project),
      });
      history.trees.push({ project, host, when: "after the last sync", differences });
    }
  }
}
