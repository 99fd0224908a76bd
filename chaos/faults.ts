import { readdirSync, readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import type { Fleet } from "./fleet.ts";
import type { Fault } from "./plan.ts";

/** Processes that have this variable in their environment, but not this program. */
function rsyncsOf(stateDir: string): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .filter((name) => {
      try {
        return (
          readFileSync(`/proc/${name}/environ`, "utf8").includes(
            `MIRRORFLEET_STARTED_BY=${stateDir}\0`,
          ) &&
          readFileSync(`/proc/${name}/comm`, "utf8") === "rsync\n" &&
          !readFileSync(`/proc/${name}/cmdline`, "utf8").includes("--daemon")
        );
      } catch {
        // It has ended meanwhile.
        return false;
      }
    })
    .map(Number);
}

/** A fault that meets no rsync shows little: waits a while for one. */
async function untilBusy({ stateDir }: { stateDir: string }): Promise<void> {
  for (let tries = 0; tries < 50 && rsyncsOf(stateDir).length === 0; tries++) await sleep(100);
}

/** The first of the hosts, from `target` on, that an rsync works on; waits `patience` seconds for one. */
async function busyHost(
  { hosts }: Fleet,
  { target, patience }: { target: number; patience: number },
): Promise<Fleet["hosts"][number]> {
  const order = hosts.map((_, index) => hosts[(target + index) % hosts.length]!);
  for (let tries = 0; tries < patience * 10; tries++, await sleep(100)) {
    const busy = order.find(({ stateDir }) => rsyncsOf(stateDir).length > 0);
    if (busy) return busy;
  }
  return order[0]!;
}

/** Seconds for which an rsync hangs, as on a dead disk: its agent has time to start and to be told to try again. */
const hangSeconds = 12;

/** Seconds for which a disk is full at the least: the next sync meets it, too. */
const fullSeconds = 4;

function kill(pid: number, signal: NodeJS.Signals = "SIGKILL"): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

/** The file is empty where the disk was full. */
function killDaemon({ stateDir }: { stateDir: string }): void {
  const pid = Number(readFileSync(`${stateDir}/rsyncd.pid`, "utf8"));
  if (pid > 1) kill(pid);
}

const manners = { "cut-link": "cut", "black-hole": "hole", "slow-link": "slow" } as const;

/** Injects one fault, and takes it back when its time is over. */
export async function inject(fleet: Fleet, fault: Fault): Promise<void> {
  const { database } = fleet;
  const of = <Item>(items: Item[]) => items[fault.target % items.length]!;
  const controlPlane = of(fleet.controlPlanes);
  const host = of(fleet.hosts);
  const meanwhile = async (begin: () => unknown, end: () => unknown) => {
    await begin();
    await sleep(fault.seconds * 1000);
    await end();
  };
  const clock = ({ clock: path }: { clock: string }) =>
    meanwhile(
      () => writeFile(path, String(fault.jumpSeconds * 1000)),
      () => writeFile(path, "0"),
    );
  switch (fault.kind) {
    case "kill-control-plane":
      return controlPlane.service.signal("SIGKILL");
    case "freeze-control-plane":
      return meanwhile(
        () => controlPlane.service.signal("SIGSTOP"),
        () => controlPlane.service.signal("SIGCONT"),
      );
    case "kill-agent":
      await untilBusy(host);
      return host.service.signal("SIGKILL");
    case "freeze-agent":
      return meanwhile(
        () => host.service.signal("SIGSTOP"),
        () => host.service.signal("SIGCONT"),
      );
    case "kill-rsync":
      await untilBusy(host);
      return rsyncsOf(host.stateDir)
        .slice(0, 1)
        .forEach((pid) => kill(pid));
    case "hang-rsync": {
      const { stateDir, service } = await busyHost(fleet, { target: fault.target, patience: 5 });
      const hanging = rsyncsOf(stateDir);
      for (const pid of hanging) kill(pid, "SIGSTOP");
      service.signal("SIGKILL");
      await sleep(hangSeconds * 1000);
      for (const pid of hanging) kill(pid, "SIGCONT");
      return;
    }
    case "kill-daemon":
      return killDaemon(fleet.hosts[0]!);
    case "kill-upstream":
      return fleet.upstream.service.signal("SIGKILL");
    case "kill-backend":
      await database.kill("backend");
      return;
    case "kill-postgres":
      await database.kill("cluster");
      return database.startAgain({ seconds: Math.min(fault.seconds, 4) });
    case "lose-leases":
      // As a long black hole, in less time.
      await untilBusy(host);
      return meanwhile(
        async () => {
          host.link.set("hole");
          await database.use(
            (sql) => sql`update tasks set lease_until = now() where state = 'leased'`,
          );
        },
        async () => {
          await sleep(Math.max(0, 7 - fault.seconds) * 1000);
          host.link.set("pass");
        },
      );
    case "host-hole":
    case "host-deaf":
    case "host-reset":
    case "host-slow":
      return meanwhile(
        () => host.link.set(fault.kind.slice("host-".length) as "hole"),
        () => host.link.set("pass"),
      );
    case "operators-deaf":
      return meanwhile(
        () => fleet.operators.set("deaf"),
        () => fleet.operators.set("pass"),
      );
    case "database-hole":
    case "database-slow":
      return meanwhile(
        () => controlPlane.link.set(fault.kind.slice("database-".length) as "hole"),
        () => controlPlane.link.set("open"),
      );
    case "database-cut":
      return controlPlane.link.cut();
    case "upstream-hole":
      return meanwhile(
        () => fleet.upstream.link.set("hole"),
        () => fleet.upstream.link.set("open"),
      );
    case "upstream-cut":
      return fleet.upstream.link.cut();
    case "clock-of-agent":
      return clock(host);
    case "clock-of-control-plane":
      return clock(controlPlane);
    case "fill-disk": {
      // The state directory, the mirror root, or both.
      const busy = await busyHost(fleet, { target: fault.target, patience: 20 });
      const { state, mirror } = busy.disks!;
      const choice = Math.floor(fault.target / fleet.hosts.length) % 3;
      const filled = [[state], [state, mirror], [mirror]][choice]!;
      await Promise.all(
        filled.map((disk) => disk.occupy({ seconds: fullSeconds + fault.seconds })),
      );
      return;
    }
    case "cut-link":
    case "black-hole":
    case "slow-link": {
      const apart = of(fleet.hosts.filter(({ cable }) => cable !== null));
      await untilBusy(apart);
      return meanwhile(
        () => apart.cable!.set(manners[fault.kind as keyof typeof manners]),
        () => apart.cable!.set("open"),
      );
    }
  }
}
