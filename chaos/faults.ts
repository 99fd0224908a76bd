import { readdirSync, readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import type { Fleet } from "./fleet.ts";
import type { Random } from "./random.ts";

const kinds = [
  "kill-control-plane",
  "freeze-control-plane",
  "kill-agent",
  "kill-agent",
  "freeze-agent",
  "kill-rsync",
  "hang-rsync",
  "kill-daemon",
  "kill-upstream",
  "kill-backend",
  "kill-postgres",
  "lose-leases",
  "lose-leases",
  "kill-rsync",
  "host-hole",
  "host-deaf",
  "host-reset",
  "host-slow",
  "operators-deaf",
  "database-hole",
  "database-cut",
  "database-slow",
  "upstream-hole",
  "upstream-cut",
  "clock-of-agent",
  "clock-of-control-plane",
] as const;

export type Fault = {
  /** Milliseconds after the load began. */
  at: number;
  kind: (typeof kinds)[number];
  /** Of those there are; taken modulo their number. */
  target: number;
  seconds: number;
  /** Of a clock. */
  jumpSeconds: number;
};

/** Milliseconds between two faults, on average. */
const meanGap = 1500;

/** The faults of a run, from its seed alone. */
export function planFaults(random: Random, { seconds }: { seconds: number }): Fault[] {
  const faults: Fault[] = [];
  // Each kind comes before any comes twice: a short run has seen most of them.
  let bag: Fault["kind"][] = [];
  for (
    let at = random.between(0, meanGap);
    at < seconds * 1000;
    at += random.between(0, 2 * meanGap)
  ) {
    if (bag.length === 0) bag = [...kinds];
    const kind = random.pick(bag);
    bag.splice(bag.indexOf(kind), 1);
    const long = random.next() < 0.2;
    faults.push({
      at: Math.round(at),
      kind,
      target: Math.floor(random.between(0, 1000)),
      seconds: Math.round(random.between(0.2, long ? 18 : 4) * 10) / 10,
      jumpSeconds: Math.round(random.between(5, 7200) * (random.next() < 0.5 ? -1 : 1)),
    });
  }
  return faults;
}

export const describeFault = ({ at, kind, target, seconds, jumpSeconds }: Fault): string =>
  `${(at / 1000).toFixed(1).padStart(6)} s  ${kind} ${target} for ${seconds} s${kind.startsWith("clock") ? ` by ${jumpSeconds} s` : ""}`;

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

/** The first of the hosts, from `target` on, that an rsync works on; waits a while for one. */
async function busyHost({ hosts }: Fleet, { target }: Fault): Promise<Fleet["hosts"][number]> {
  const order = hosts.map((_, index) => hosts[(target + index) % hosts.length]!);
  for (let tries = 0; tries < 50; tries++, await sleep(100)) {
    const busy = order.find(({ stateDir }) => rsyncsOf(stateDir).length > 0);
    if (busy) return busy;
  }
  return order[0]!;
}

/** Seconds for which an rsync hangs, as on a dead disk: its agent has time to start and to be told to try again. */
const hangSeconds = 12;

function kill(pid: number, signal: NodeJS.Signals = "SIGKILL"): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

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
      const { stateDir, service } = await busyHost(fleet, fault);
      const hanging = rsyncsOf(stateDir);
      for (const pid of hanging) kill(pid, "SIGSTOP");
      service.signal("SIGKILL");
      await sleep(hangSeconds * 1000);
      for (const pid of hanging) kill(pid, "SIGCONT");
      return;
    }
    case "kill-daemon":
      return kill(Number(readFileSync(`${fleet.hosts[0]!.stateDir}/rsyncd.pid`, "utf8")));
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
  }
}
