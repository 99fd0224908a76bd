import type { Command } from "commander";
import { AppError } from "../../protocol/errors.ts";
import type { Host } from "../../protocol/host.ts";
import { action } from "../context.ts";
import { ago, listing, size, table, time } from "../format.ts";
import { collect } from "../project-fields.ts";
import { addHostInvite } from "./host-invite.ts";
import { wholeNumberOptionOr } from "../whole-number.ts";

const labelText = (labels: Host["labels"]) =>
  Object.entries(labels)
    .map(([key, value]) => `${key}=${value}`)
    .join(",");

const stateOf = ({ state, drained }: Host) =>
  drained && state !== "quarantined" ? "drained" : state;

const hostTable = (hosts: Host[]) =>
  table(
    ["NAME", "ROLES", "STATE", "SEEN", "RUNNING", "LABELS", "ADDRESSES"],
    hosts.map((host) => [
      host.name,
      host.roles.join(","),
      stateOf(host),
      ago(host.lastSeenAt),
      host.runningTasks,
      labelText(host.labels),
      host.addresses.join(","),
    ]),
  );

const share = (free: number, all: number) => Math.round((free / all) * 100);

function roomText(disk: Host["disks"][number]) {
  const { totalBytes, freeBytes, totalInodes, freeInodes, fullAt } = disk;
  const inodes =
    totalInodes === 0
      ? ""
      : `, ${freeInodes} of ${totalInodes} inodes (${share(freeInodes, totalInodes)} %)`;
  return `${size(freeBytes)} of ${size(totalBytes)} free (${share(freeBytes, totalBytes)} %)${inodes}${fullAt === null ? "" : `, full about ${fullAt.slice(0, 10)}`}`;
}

function clockText({ clockSkewSeconds: skew }: Host): string | null {
  if (skew === null) return null;
  if (Math.abs(skew) < 0.5) return "right";
  return `${Math.abs(skew).toFixed(1)} s ${skew > 0 ? "ahead" : "behind"}`;
}

/** What becomes of deleted files; null: its agent, or the control plane, is too old to say. */
function deletedText({ quarantineDays: days }: Host): string | null {
  if (days === 0) return "gone at once: it has no quarantine";
  return days ? `${days} ${days === 1 ? "day" : "days"} in its quarantine` : null;
}

const hostText = (host: Host) =>
  listing([
    ["name", host.name],
    ["roles", host.roles.join(", ")],
    ["state", stateOf(host)],
    [
      "quarantine",
      host.quarantine && `since ${time(host.quarantine.since)}: ${host.quarantine.reason}`,
    ],
    ["addresses", host.addresses.join(", ")],
    ["labels", labelText(host.labels)],
    ["parallel", host.parallel ?? "as its agent is set"],
    ["serves at a time", host.roles.includes("master") ? (host.serves ?? "all") : null],
    ["mirror roots", host.roots.join(", ")],
    ["running tasks", host.runningTasks],
    ["agent", host.agentVersion],
    ["rsync", host.rsyncVersion],
    ["rsync daemon", daemonText(host)],
    ...host.disks.map((disk): [string, string] => [`room in ${disk.path}`, roomText(disk)]),
    ["deleted files", deletedText(host)],
    ["clock", clockText(host)],
    ["seen", ago(host.lastSeenAt)],
    ["made", time(host.createdAt)],
  ]);

const daemonText = ({ daemon }: Host): string | null =>
  daemon &&
  `port ${daemon.port}, ${daemon.keySha256 ? `TLS with the key ${daemon.keySha256}` : "plain rsync"}`;

/** "site=nyc" sets a label, "site-" takes it away. */
function labelsOf(words: string[]): Record<string, string | null> {
  return Object.fromEntries(
    words.map((word): [string, string | null] => {
      const at = word.indexOf("=");
      if (at > 0) return [word.slice(0, at), word.slice(at + 1)];
      if (word.endsWith("-")) return [word.slice(0, -1), null];
      throw new AppError("invalid-input", `"${word}" must be key=value, or key- to take it away`);
    }),
  );
}

/** `host`. */
export function addHost(program: Command): void {
  const host = program.command("host").description("hosts: the machines of the fleet");
  addHostInvite(host);
  host
    .command("uninvite")
    .description("end its enrolment tokens that were not used yet")
    .argument("<name>")
    .action(
      action(async ({ client, print }, { args: [name] }) =>
        print(await client.uninviteHost(name!), ({ ended }) => `${ended} enrolment tokens ended`),
      ),
    );
  host
    .command("list")
    .description("list hosts")
    .action(action(async ({ client, print }) => print(await client.listHosts(), hostTable)));
  host
    .command("show")
    .description("show a host")
    .argument("<name>")
    .action(
      action(async ({ client, print }, { args: [name] }) =>
        print(await client.getHost(name!), hostText),
      ),
    );
  host
    .command("label")
    .description("set labels (key=value) or take them away (key-)")
    .argument("<name>")
    .argument("<labels...>")
    .action(
      action(async ({ client, print }, { args: [name, ...words] }) =>
        print(await client.patchHost(name!, { labels: labelsOf(words) }), hostText),
      ),
    );
  host
    .command("set")
    .description("change a host's addresses or limits")
    .argument("<name>")
    .option("--address <address>", "may be repeated", collect)
    .option(
      "--parallel <n>",
      'tasks at a time; "agent" is what its agent is set to',
      wholeNumberOptionOr("agent"),
    )
    .option(
      "--serves <n>",
      'FTP hosts that may pull from this master at a time; "all" is no limit',
      wholeNumberOptionOr("all"),
    )
    .action(
      action<{ address?: string[]; parallel?: number | null; serves?: number | null }>(
        async ({ client, print }, { args: [name], options: { address, parallel, serves } }) =>
          print(
            await client.patchHost(name!, {
              ...(address && { addresses: address }),
              ...(parallel !== undefined && { parallel }),
              ...(serves !== undefined && { serves }),
            }),
            hostText,
          ),
      ),
    );
  host
    .command("drain")
    .description("pause it: no new tasks; what runs goes on")
    .argument("<name>")
    .option("--cancel-running", "in an emergency: also end what runs, and cancel what waits")
    .action(
      action<{ cancelRunning?: boolean }>(async ({ client, print }, { args: [name], options }) =>
        print(await client.drainHost(name!, options), (changed) => hostTable([changed])),
      ),
    );
  for (const [verb, text] of [
    ["resume", "give a drained host tasks again"],
    ["release", "end its quarantine, once its key is on one machine alone"],
    ["revoke", "end its agent's authority at once"],
  ] as const)
    host
      .command(verb)
      .description(text)
      .argument("<name>")
      .action(
        action(async ({ client, print }, { args: [name] }) =>
          print(await client[`${verb}Host`](name!), (changed) => hostTable([changed])),
        ),
      );
}
