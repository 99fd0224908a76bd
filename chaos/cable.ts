import { execa } from "execa";

/**
 * How a cable treats packets. `cut`: the host's interface is down. `hole`: all are lost, and nobody is
 * told. `slow`: late, and few at a time.
 */
type Manner = "open" | "cut" | "hole" | "slow";

/** A pair of joined interfaces: `inside` the namespace of a host, and `outside`, where the others are. */
type Joined = {
  namespace: string;
  inside: string;
  outside: string;
  hostAddress: string;
  gateway: string;
};

export type Cable = { set: (manner: Manner) => Promise<void> };

/** Nobody's: what is sent there is dropped by who gets it. */
const nowhere = "02:00:00:00:00:00";

const slowDown = {
  netem: ["netem", "delay", "300ms", "100ms", "rate", "600kbit"],
  tbf: ["tbf", "rate", "600kbit", "burst", "16kb", "latency", "1s"],
} as const;

/** What of the kernel's can slow a cable down; null: neither is there. */
export type Slowing = keyof typeof slowDown | null;

const ip = (...args: string[]) => execa("ip", args);
const tc = (...args: string[]) => execa("tc", args);

/** The first of the kernel's ways to slow down that it has for this interface. */
export async function findSlowing(interfaceName: string): Promise<Slowing> {
  for (const name of ["netem", "tbf"] as const)
    try {
      await tc("qdisc", "replace", "dev", interfaceName, "root", ...slowDown[name]);
      await tc("qdisc", "del", "dev", interfaceName, "root");
      return name;
    } catch {
      // A kernel without this one; or there is no tc.
    }
  return null;
}

/** Disturbs what goes over a pair of joined interfaces. */
export function createCable(
  { namespace, inside, outside, hostAddress, gateway }: Joined,
  { slowing }: { slowing: Slowing },
): Cable {
  // Neighbours whose hardware addresses are wrong: packets are lost, and no sender gets an error.
  const neighbours = [
    { where: ["-n", namespace], of: [gateway, "dev", inside] },
    { where: [], of: [hostAddress, "dev", outside] },
  ];
  const manners: Record<Manner, { begin: () => Promise<unknown>; end: () => Promise<unknown> }> = {
    open: { begin: async () => {}, end: async () => {} },
    cut: {
      begin: () => ip("-n", namespace, "link", "set", "dev", inside, "down"),
      end: () => ip("-n", namespace, "link", "set", "dev", inside, "up"),
    },
    hole: {
      begin: async () => {
        for (const { where, of } of neighbours)
          await ip(...where, "neigh", "replace", ...of, "lladdr", nowhere, "nud", "permanent");
      },
      end: async () => {
        for (const { where, of } of neighbours) await ip(...where, "neigh", "del", ...of);
      },
    },
    slow: {
      begin: () => tc("qdisc", "replace", "dev", outside, "root", ...slowDown[slowing!]),
      end: () => tc("qdisc", "del", "dev", outside, "root"),
    },
  };
  let current = manners.open;
  let setting: Promise<unknown> = Promise.resolve();
  return {
    set: async (manner) => {
      const change = async () => {
        const { end } = current;
        current = manners.open;
        await end();
        current = manners[manner];
        await current.begin();
      };
      // One after the other: faults overlap.
      const done = setting.then(change);
      setting = done.catch(() => undefined);
      await done;
    },
  };
}
