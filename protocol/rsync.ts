import { z } from "zod";
import { AppError } from "./errors.ts";
import { isNetworkHost, moduleName, networkHost, port, relativePath } from "./names.ts";

/** Ports of an rsync daemon where a URL names none: plain, and behind TLS (rsync-ssl(1)). */
const defaultPorts = { rsync: 873, rsyncs: 874 };

/** Module of a master's rsync daemon that serves the change lists. */
export const changeListsModule = "mirrorfleet-changes";

/** SHA-256 in hex. */
export const sha256 = z.string().regex(/^[0-9a-f]{64}$/, "must be 64 hexadecimal digits");

/** Where a task pulls from: always an rsync daemon. */
export const sourceSchema = z.strictObject({
  host: networkHost,
  port,
  module: moduleName,
  /** Below the module; null is the module itself. */
  path: relativePath.nullable(),
  /** Name to authenticate with, where the daemon asks for one. */
  user: z
    .string()
    .regex(/^[A-Za-z0-9_][A-Za-z0-9._-]{0,62}$/, "must be a plain user name")
    .nullable(),
  /**
   * The daemon is behind TLS, and shows a certificate for `host`; or, of a master, whatever certificate with
   * the key that has this SHA-256 (of its SPKI, hex). Only agents whose facts have `tls` know the latter.
   */
  tls: z.union([z.literal(true), z.strictObject({ keySha256: sha256 })]).optional(),
});
export type Source = z.infer<typeof sourceSchema>;

const filterPattern = z
  .string()
  .min(1)
  .max(1024)
  .regex(/^[^\p{Cc}]+$/u, "must not hold control characters");

/** Indexes of a kind of repository: files that name others, and must not come before them. */
const indexProfiles = ["debian", "rpm", "arch"] as const;
export type IndexProfile = (typeof indexProfiles)[number];

/** The allow-list: the only rsync options that an operator can choose. */
export const rsyncOptionsSchema = z.strictObject({
  /** Include and exclude rules; the first that matches a path decides, so order counts. */
  filters: z
    .array(z.strictObject({ action: z.enum(["include", "exclude"]), pattern: filterPattern }))
    .max(1000)
    .default([]),
  /** Remove what the source no longer has. */
  delete: z.boolean().default(true),
  /** Keep hard links between files as hard links. */
  hardLinks: z.boolean().default(true),
  /** Indexes come last, after all that they name, and deletions after them; null: everything at once. */
  indexesLast: z.enum(indexProfiles).nullable().default(null),
  /** Patterns of further indexes; alone, or beside those of `indexesLast`. */
  indexPatterns: z.array(filterPattern).max(100).default([]),
  /** KiB per second; null is unlimited. */
  bandwidthKiBps: z.int().min(1).max(100_000_000).nullable().default(null),
  /** Reach the source by this version of IP alone; null: by whichever works. */
  ipVersion: z
    .union([z.literal(4), z.literal(6)])
    .nullable()
    .default(null),
  /** As many deletions of one rsync (of each part, where a project has parts) go without an operator, whatever the share; left out: the share alone. */
  maxDelete: z.int().min(0).max(1_000_000_000).optional(),
});
export type RsyncOptions = z.infer<typeof rsyncOptionsSchema>;
export type RsyncOptionName = keyof RsyncOptions;

/** All option names, for an agent's policy. */
export const rsyncOptionNames = [
  "filters",
  "delete",
  "hardLinks",
  "indexesLast",
  "indexPatterns",
  "bandwidthKiBps",
  "ipVersion",
  "maxDelete",
] as const satisfies RsyncOptionName[];

/** Limits that the agent holds an rsync to. */
export const rsyncLimitsSchema = z.strictObject({
  /** Seconds after which rsync is ended, whatever it is doing. */
  wallClockSeconds: z
    .int()
    .min(1)
    .max(30 * 86_400),
  /** Seconds without any output or progress after which rsync is ended. */
  stallSeconds: z.int().min(1).max(86_400),
  /** Deletions above this share of the source's files are held for an operator. */
  maxDeletePercent: z.int().min(0).max(100),
  /** Deletions that an operator approved for this run; null: none were. */
  approvedDeletions: z.int().min(1).nullable(),
});
export type RsyncLimits = z.infer<typeof rsyncLimitsSchema>;

const urlPattern =
  /^(rsyncs?):\/\/(?:([^/@]*)@)?(\[[^\]/]*\]|[^:/[\]]*)(?::([^/]*))?(?:\/([^/]*)(?:\/(.*))?)?$/s;

/**
 * Parses `rsync://host[:port]/module[/path]`, or `rsyncs://` for a daemon behind TLS.
 * @throws AppError `invalid-input` that names the part at fault.
 */
export function parseRsyncUrl(url: string): Source {
  const example = 'for example "rsync://ftp.example.org/debian/"';
  const fail = (message: string) =>
    new AppError("invalid-input", message, { fields: [{ field: "upstream", message }] });
  const match = urlPattern.exec(url);
  if (!match) throw fail(`must be an rsync URL: ${example}`);
  const [, scheme, user, rawHost = "", portText, module = "", rawPath] = match;
  const tls = scheme === "rsyncs";
  if (user !== undefined) throw fail("must not hold a user name or password");
  const host = rawHost.startsWith("[") ? rawHost.slice(1, -1) : rawHost;
  if (!isNetworkHost(host) || rawHost.startsWith("[") !== host.includes(":")) {
    throw fail(`names no valid host (a DNS name or an IP address): ${example}`);
  }
  if (portText !== undefined && !/^[0-9]{1,5}$/.test(portText))
    throw fail("port must be a whole number from 1 to 65535");
  const portNumber =
    portText === undefined ? defaultPorts[tls ? "rsyncs" : "rsync"] : Number(portText);
  if (portNumber < 1 || portNumber > 65535) throw fail("port must be from 1 to 65535");
  if (!moduleName.safeParse(module).success)
    throw fail(`names no valid rsync module after the host: ${example}`);
  const path = (rawPath ?? "").replace(/\/$/, "");
  if (path !== "" && !relativePath.safeParse(path).success) {
    throw fail(
      'path may only hold plain segments (letters, digits, "._+@=,:^~-"), no ".." and none that begins with "-"',
    );
  }
  return {
    host,
    port: portNumber,
    module,
    path: path === "" ? null : path,
    user: null,
    ...(tls && { tls }),
  };
}

/** The URL of a source, in its shortest form and with a final slash. Inverse of `parseRsyncUrl`. */
export function formatRsyncUrl(source: Source): string {
  const user = source.user === null ? "" : `${source.user}@`;
  const host = source.host.includes(":") ? `[${source.host}]` : source.host;
  const scheme = source.tls ? "rsyncs" : "rsync";
  const portText = source.port === defaultPorts[scheme] ? "" : `:${source.port}`;
  const path = source.path === null ? "" : `${source.path}/`;
  return `${scheme}://${user}${host}${portText}/${source.module}/${path}`;
}
