import { AppError } from "../protocol/errors.ts";
import type { SyncSpec } from "../protocol/order.ts";
import {
  formatRsyncUrl,
  parseRsyncUrl,
  type RsyncOptionName,
  rsyncOptionNames,
  rsyncOptionsSchema,
  type Source,
} from "../protocol/rsync.ts";

/** What this host allows, whatever an order says. */
export type Policy = { sources: SourceRule[]; options: RsyncOptionName[] };

/** One allowed place to pull from; null is any. */
export type SourceRule =
  | "any"
  | { host: string; port: number; tls: boolean; module: string | null; path: string | null };

const hostOnly = /^rsyncs?:\/\/[^/]+\/?$/;

/** Parses "rsync://*", "rsync://host[:port]/" or "rsync://host[:port]/module[/path]/"; "rsyncs" for TLS alone. @throws AppError `invalid-input`. */
export function parseSourceRule(text: string): SourceRule {
  if (text === "rsync://*") return "any";
  const bare = hostOnly.test(text);
  const source = parseRsyncUrl(bare ? `${text.replace(/\/$/, "")}/any` : text);
  const { host, port, tls, module, path } = source;
  return {
    host: host.toLowerCase(),
    port,
    tls: tls !== undefined,
    module: bare ? null : module,
    path,
  };
}

/** A daemon whose key the order names is no other place than the same by plain rsync, and safer to reach. */
const allowsTransport = ({ tls }: { tls: boolean }, source: Source): boolean =>
  typeof source.tls === "object" || tls === (source.tls ?? false);

function matches(rule: SourceRule, source: Source): boolean {
  if (rule === "any") return true;
  return (
    rule.host === source.host.toLowerCase() &&
    rule.port === source.port &&
    allowsTransport(rule, source) &&
    (rule.module === null || rule.module === source.module) &&
    (rule.path === null ||
      rule.path === source.path ||
      Boolean(source.path?.startsWith(`${rule.path}/`)))
  );
}

const defaults = rsyncOptionsSchema.parse({});

/** Does the host's policy allow to pull from there? */
export const allowsSource = (policy: Policy, { source }: { source: Source }): boolean =>
  policy.sources.some((rule) => matches(rule, source));

/** Checks an order against the host's policy. @throws AppError `order-refused` that names the setting. */
export function checkPolicy(policy: Policy, { sync }: { sync: SyncSpec }): void {
  const sources = sync.steps.flatMap((step) => step.sources.map(({ source }) => source));
  const forbidden = sources.find((source) => !allowsSource(policy, { source }));
  if (forbidden) {
    const url = formatRsyncUrl({ ...forbidden, user: null });
    throw new AppError(
      "order-refused",
      `source ${url} is not allowed on this host: to allow it, add it to MIRRORFLEET_SOURCES`,
    );
  }
  for (const name of rsyncOptionNames) {
    const isDefault = JSON.stringify(sync.options[name]) === JSON.stringify(defaults[name]);
    if (!isDefault && !policy.options.includes(name)) {
      throw new AppError(
        "order-refused",
        `rsync option "${name}" is not allowed on this host: to allow it, add it to MIRRORFLEET_OPTIONS`,
      );
    }
  }
}
