import { join } from "node:path";
import { AppError } from "../../protocol/errors.ts";
import { changeListsModule } from "../../protocol/rsync.ts";

export type DaemonUser = { name: string; password: string; addresses: string[] };

export type DaemonSettings = {
  /** What it serves: a module for each mirror root. */
  roots: { path: string; module: string }[];
  port: number;
  /** Address to listen on; null is all. */
  address: string | null;
  tls: "yes" | "no" | "both";
  stateDir: string;
  /** Directory of the change lists. */
  lists: string;
};

/** A value of rsyncd.conf; a line break would begin another parameter. */
function value(text: string): string {
  if (/[\0\n\r]/.test(text) || text.endsWith("\\")) {
    throw new AppError("invalid-input", `${JSON.stringify(text)} cannot stand in rsyncd.conf`);
  }
  // "%" begins a variable in paths.
  return text.replaceAll("%", "%%");
}

/** Path of the file with the users' passwords. */
export const secretsFile = (stateDir: string) => join(stateDir, "rsyncd.secrets");

/** Text of rsyncd.conf: a read-only module for each root, each host by name, password and address. `owner` reads the files, where root starts it. */
export function renderDaemonConfig({
  settings,
  users,
  serves,
  owner,
}: {
  settings: DaemonSettings;
  users: Pick<DaemonUser, "name" | "addresses">[];
  /** Hosts that may pull at a time; null: all. */
  serves: number | null;
  owner: { uid: number; gid: number } | null;
}): string {
  const addresses = [...new Set(users.flatMap((user) => user.addresses))];
  const lines = [
    "# Written by mirrorfleet-agent; changes are overwritten.",
    `port = ${settings.port}`,
    ...(settings.address === null ? [] : [`address = ${value(settings.address)}`]),
    `pid file = ${value(join(settings.stateDir, "rsyncd.pid"))}`,
    `log file = ${value(join(settings.stateDir, "rsyncd.log"))}`,
    `use chroot = ${owner ? "yes" : "no"}`,
    // Symlinks are served as they are; a chroot, or "insecure links" being refused, keeps readers inside.
    "munge symlinks = no",
    "reverse lookup = no",
    // The last connection of a host may still be closing when its next one comes.
    ...(serves === null
      ? []
      : [
          `max connections = ${2 * serves}`,
          `lock file = ${value(join(settings.stateDir, "rsyncd.lock"))}`,
        ]),
    "socket options = TCP_NODELAY",
    "timeout = 3600",
    "read only = yes",
    "list = no",
    "numeric ids = yes",
    ...(owner ? [`uid = ${owner.uid}`, `gid = ${owner.gid}`] : []),
    "exclude = .~tmp~/",
    // With nobody admitted, an impossible name keeps the module closed: an empty list would open it.
    `auth users = ${users.length > 0 ? users.map(({ name }) => value(name)).join(", ") : "-"}`,
    `secrets file = ${value(secretsFile(settings.stateDir))}`,
    "strict modes = yes",
    `hosts allow = ${addresses.length > 0 ? addresses.map(value).join(" ") : "255.255.255.255"}`,
    "hosts deny = *",
    ...settings.roots.flatMap(({ path, module }) => [
      `[${value(module)}]`,
      `path = ${value(path)}`,
    ]),
    `[${changeListsModule}]`,
    `path = ${value(settings.lists)}`,
  ];
  return `${lines.join("\n")}\n`;
}

/** Text of the secrets file, one `name:password` a line. */
export function renderSecrets(users: Pick<DaemonUser, "name" | "password">[]): string {
  return users.map(({ name, password }) => `${value(name)}:${value(password)}\n`).join("");
}
