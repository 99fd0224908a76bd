import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";
import { type Disk, mountDisk } from "./disk.ts";
import { collectEnds } from "./ends.ts";
import type { Fault } from "./plan.ts";
import { makeNetwork, type Network } from "./network.ts";

/** What a host's agent writes to: its state directory, and its mirror root. */
export type HostDisks = { state: Disk; mirror: Disk };

export type Machine = {
  /** By host; none where nothing can be mounted. */
  disks: Map<string, HostDisks>;
  network: (Network & { tls: Tls }) | null;
  /** Faults that cannot be had here, and why. */
  leftOut: { kinds: Fault["kind"][]; why: string }[];
};

/** Beyond loopback agents speak TLS alone; `ca` is a file. */
type Tls = { key: string; cert: string; ca: string };

/** Enough for many runs, and filled within a moment. */
const megabytes = { state: 32, mirror: 64 };

async function makeCertificate({
  directory,
  address,
}: {
  directory: string;
  address: string;
}): Promise<Tls> {
  const [key, ca] = [join(directory, "tls.key"), join(directory, "tls.crt")];
  const options = "-x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2".split(
    " ",
  );
  const name = ["-subj", "/CN=mirrorfleet-chaos", "-addext", `subjectAltName=IP:${address}`];
  await execa("openssl", ["req", ...options, ...name, "-keyout", key, "-out", ca]);
  return { key: await readFile(key, "utf8"), cert: await readFile(ca, "utf8"), ca };
}

async function makeNetworkWithTls({
  directory,
  hosts,
}: {
  directory: string;
  hosts: string[];
}): Promise<Network & { tls: Tls }> {
  const network = await makeNetwork({ hosts });
  try {
    return { ...network, tls: await makeCertificate({ directory, address: network.gateway }) };
  } catch (error) {
    await network.remove();
    throw error;
  }
}

async function mountDisks({
  directory,
  hosts,
  onMounted,
}: {
  directory: string;
  hosts: string[];
  onMounted: (disk: Disk) => void;
}): Promise<Machine["disks"]> {
  const mount = async (host: string, kind: keyof HostDisks) => {
    const at = { directory: join(directory, host, kind), megabytes: megabytes[kind] };
    const disk = await mountDisk(at);
    onMounted(disk);
    return disk;
  };
  const disks: Machine["disks"] = new Map();
  for (const host of hosts)
    disks.set(host, { state: await mount(host, "state"), mirror: await mount(host, "mirror") });
  return disks;
}

function because(error: unknown): string {
  if (process.getuid?.() !== 0) return "takes root";
  const { stderr, shortMessage } = error as { stderr?: string; shortMessage?: string };
  return stderr || shortMessage || String(error);
}

/**
 * Prepares what a fleet needs of the machine beyond processes: small disks for all hosts, and network
 * namespaces for some. Where the machine has no such thing, that is left out, and said.
 */
export async function prepareMachine(
  ctx: { keep: boolean; onEnd: (end: () => Promise<unknown>) => void },
  { directory, hosts }: { directory: string; hosts: { all: string[]; apart: string[] } },
): Promise<Machine> {
  const machine: Machine = { disks: new Map(), network: null, leftOut: [] };
  const disks = collectEnds();
  try {
    const onMounted = (disk: Disk) => disks.add(() => disk.remove({ keep: ctx.keep }));
    machine.disks = await mountDisks({ directory, hosts: hosts.all, onMounted });
  } catch (error) {
    await disks.run();
    machine.leftOut.push({ kinds: ["fill-disk"], why: because(error) });
  }
  ctx.onEnd(disks.run);
  try {
    const network = await makeNetworkWithTls({ directory, hosts: hosts.apart });
    ctx.onEnd(network.remove);
    machine.network = network;
    if (network.slowing === null)
      machine.leftOut.push({ kinds: ["slow-link"], why: "the kernel has neither netem nor tbf" });
  } catch (error) {
    machine.leftOut.push({ kinds: ["cut-link", "black-hole", "slow-link"], why: because(error) });
  }
  return machine;
}
