import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:net";
import { networkInterfaces } from "node:os";
import { execa } from "execa";
import { type Cable, createCable, findSlowing, type Slowing } from "./cable.ts";
import { collectEnds } from "./ends.ts";

/** A host in a network namespace of its own; `cable` joins it to the programs outside. */
type Place = { namespace: string; address: string; cable: Cable };

export type Network = {
  /** Where hosts in namespaces reach the others, and these listen. */
  gateway: string;
  places: Map<string, Place>;
  slowing: Slowing;
  remove: () => Promise<void>;
};

const ip = (...args: string[]) => execa("ip", args);

/** A /24 that no interface has, of the addresses that are set aside for tests of networks (RFC 2544). */
function freePrefix(): string {
  const taken = Object.values(networkInterfaces()).flatMap((each) =>
    (each ?? []).map(({ address }) => address),
  );
  for (;;) {
    const [low, high] = randomBytes(2) as unknown as [number, number];
    const prefix = `198.${18 + (low % 2)}.${high}.`;
    if (!taken.some((address) => address.startsWith(prefix))) return prefix;
  }
}

/** A firewall may be in the way. @throws where no connection comes about. */
async function tryConnection({
  gateway,
  namespace,
}: {
  gateway: string;
  namespace: string;
}): Promise<void> {
  const server = createServer((socket) => socket.destroy()).listen(0, gateway);
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  const script = `require("node:net").connect(${port}, "${gateway}").on("connect", () => process.exit(0))`;
  try {
    await execa("ip", ["netns", "exec", namespace, process.execPath, "-e", script], {
      timeout: 5000,
    });
  } finally {
    server.close();
  }
}

/**
 * Makes a network namespace for each of the hosts. They reach the gateway alone: nothing leaves the
 * machine. @throws where the machine lets us not, with nothing left behind.
 */
export async function makeNetwork({ hosts }: { hosts: string[] }): Promise<Network> {
  // Interfaces' names have at most 15 characters.
  const run = `mfc${randomBytes(3).toString("hex")}`;
  const prefix = freePrefix();
  const gateway = `${prefix}1`;
  const inside = "uplink";
  const places: Network["places"] = new Map();
  const undo = collectEnds();
  let slowing: Slowing = null;
  try {
    for (const [index, host] of hosts.entries()) {
      const [namespace, outside] = [`${run}-${host}`, `${run}-${index}`];
      const address = `${prefix}${index + 2}`;
      await ip("netns", "add", namespace);
      undo.add(() => ip("netns", "del", namespace));
      const pair = `${outside} type veth peer name ${inside} netns ${namespace}`;
      await ip("link", "add", ...pair.split(" "));
      undo.add(() => ip("link", "del", outside));
      // The gateway is at each cable's end: it is there while any of them is.
      await ip("address", "add", gateway, "peer", address, "dev", outside);
      await ip("link", "set", "dev", outside, "up");
      await ip("-n", namespace, "address", "add", address, "peer", gateway, "dev", inside);
      for (const each of ["lo", inside])
        await ip("-n", namespace, "link", "set", "dev", each, "up");
      await tryConnection({ gateway, namespace });
      if (index === 0) slowing = await findSlowing(outside);
      const ends = { namespace, inside, outside, hostAddress: address, gateway };
      places.set(host, { namespace, address, cable: createCable(ends, { slowing }) });
    }
  } catch (error) {
    await undo.run();
    throw error;
  }
  return { gateway, places, slowing, remove: undo.run };
}
