import { existsSync, readFileSync } from "node:fs";
import { parseEnv } from "node:util";
import { z } from "zod";
import { AppError, fieldErrors } from "../protocol/errors.ts";
import { port, relativePath } from "../protocol/names.ts";
import { rsyncOptionNames } from "../protocol/rsync.ts";
import { parseSourceRule, type Policy } from "./policy.ts";

/** Every setting: flag, environment variable and config file share its name. */
export const settings = {
  "control-plane": "URL of the control plane",
  "state-dir": "keys, spool and rsyncd files (default /var/lib/mirrorfleet-agent)",
  "mirror-roots":
    'directories below which this host keeps its mirrors, separated by ":"; the first is the default',
  sources:
    'places to pull from, separated by spaces: "rsync://host[:port]/module/"; "rsync://*" is any',
  options: `rsync options that orders may use, separated by spaces (default: ${rsyncOptionNames.join(" ")})`,
  rsync: "rsync program (default rsync)",
  nice: "niceness of rsyncs, 0 to 19 (default: the agent's own)",
  "io-priority":
    'priority of rsyncs at the disk: "idle", or 0 (first) to 7 (last) (default: by niceness)',
  "daemon-port": "port of a master's rsync daemon (default 8873)",
  "daemon-address": "address that a master's rsync daemon listens on (default all)",
  "daemon-tls":
    'how a master\'s rsync daemon is reached: "yes" by TLS, "no" by plain rsync, "both" (default yes)',
  parallel: "rsyncs at a time (default 2)",
  "min-free-percent":
    "space and inodes that must stay free on a mirror root, in percent (default 1; 0: not looked at)",
  "standing-after-seconds":
    'seconds without contact after which this host follows its standing orders (default 3600); "off": never',
  quarantines:
    'directories, one for each mirror root in its order, separated by ":", where deleted files wait; outside of all mirror roots, on the same file system (default: deleted files are gone)',
  "quarantine-days": "days that they wait there (default 7)",
  "metrics-file":
    'file that is written for node_exporter\'s textfile collector, ending with ".prom" (default none)',
  "root-marker":
    "file that must be in each mirror root: it tells a mounted disk from its empty mount point (default none)",
} as const;
export type SettingName = keyof typeof settings;

/** Name of a setting in the environment and in the config file. */
export const variableOf = (name: SettingName) =>
  `MIRRORFLEET_${name.toUpperCase().replaceAll("-", "_")}`;

export const defaultConfigFile = "/etc/mirrorfleet/agent.conf";

const loopback = /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/;
const wholeNumber = (text: unknown) =>
  typeof text === "string" && /^\d{1,9}$/.test(text) ? Number(text) : text;
const between = (low: number, high: number) => {
  const message = `must be a whole number from ${low} to ${high}`;
  return z.int(message).min(low, message).max(high, message);
};
const words = (text: string) => text.split(/\s+/).filter(Boolean);

const directories = ({ example }: { example: string }) =>
  z
    .string()
    .transform((text) => text.split(":"))
    .pipe(
      z.array(
        z
          .string()
          .regex(
            /^\/[^\p{Cc}]+$/u,
            `must be absolute paths other than "/": for example "${example}"`,
          ),
      ),
    )
    .refine((paths) => new Set(paths).size === paths.length, "must not repeat a path");

const valuesSchema = z.object({
  "control-plane": z
    .url({
      protocol: /^https?$/,
      error: 'must be an https URL: for example "https://mirror-control.example.org"',
    })
    .refine(
      (url) => new URL(url).protocol === "https:" || loopback.test(new URL(url).hostname),
      "must be https, except on loopback",
    )
    .transform((url) => url.replace(/\/+$/, ""))
    .optional(),
  "state-dir": z
    .string()
    .regex(/^\//, "must be an absolute path")
    .default("/var/lib/mirrorfleet-agent"),
  "mirror-roots": directories({ example: "/srv/mirror" }).optional(),
  sources: z.string().default(""),
  options: z
    .string()
    .default(rsyncOptionNames.join(" "))
    .transform(words)
    .pipe(z.array(z.enum(rsyncOptionNames))),
  rsync: z.string().min(1).default("rsync"),
  "daemon-port": z.preprocess(wholeNumber, port).default(8873),
  "daemon-address": z.union([z.ipv4(), z.ipv6()]).optional(),
  "daemon-tls": z.enum(["yes", "no", "both"], 'must be "yes", "no" or "both"').default("yes"),
  "min-free-percent": z.preprocess(wholeNumber, between(0, 99)).default(1),
  "root-marker": relativePath.optional(),
  "metrics-file": z
    .string()
    .regex(
      /^\/[^\p{Cc}]+\.prom$/u,
      'must be an absolute path that ends with ".prom": for example "/var/lib/prometheus/node-exporter/mirrorfleet.prom"',
    )
    .optional(),
  quarantines: directories({ example: "/srv/mirror-quarantine" }).optional(),
  "quarantine-days": z.preprocess(wholeNumber, between(1, 3650)).default(7),
  nice: z.preprocess(wholeNumber, between(0, 19)).optional(),
  "standing-after-seconds": z
    .union([z.literal("off"), z.preprocess(wholeNumber, z.int().min(1).max(604_800))], {
      error: 'must be "off" or a whole number of seconds from 1 to 604800',
    })
    .default(3600),
  "io-priority": z
    .string()
    .regex(/^(idle|[0-7])$/, 'must be "idle" or a number from 0 to 7')
    .optional(),
  parallel: z.preprocess(wholeNumber, between(1, 64)).default(2),
});

export type Config = {
  controlPlane: string | undefined;
  stateDir: string;
  mirrorRoots: string[] | undefined;
  policy: Policy;
  rsync: string;
  /** Command and arguments that start an rsync with its priorities; see nice(1) and ionice(1). */
  wrapper: string[];
  daemon: { port: number; address: string | null; tls: "yes" | "no" | "both" };
  parallel: number;
  minFreePercent: number;
  rootMarker: string | null;
  /** For node_exporter; null: none. */
  metricsFile: string | null;
  /** Where deleted files wait, for each mirror root; null: they are gone. */
  quarantines: string[] | null;
  quarantineDays: number;
  /** null: standing orders are never followed. */
  standingAfterSeconds: number | null;
};

function readFile(file: string | undefined): Record<string, string | undefined> {
  const path = file ?? defaultConfigFile;
  if (file === undefined && !existsSync(path)) return {};
  let values: Record<string, string | undefined>;
  try {
    values = parseEnv(readFileSync(path, "utf8"));
  } catch (cause) {
    throw new AppError(
      "invalid-input",
      `cannot read the config file ${path}: ${(cause as Error).message}`,
      { cause },
    );
  }
  const known = (Object.keys(settings) as SettingName[]).map(variableOf);
  const unknown = Object.keys(values).find((name) => !known.includes(name));
  if (unknown !== undefined) {
    throw new AppError(
      "invalid-input",
      `${path}: ${unknown} is not a known setting; those are ${known.join(", ")}`,
    );
  }
  return values;
}

function sourceRules(text: string) {
  return words(text).map((word) => {
    try {
      return parseSourceRule(word);
    } catch (cause) {
      throw new AppError(
        "invalid-input",
        `MIRRORFLEET_SOURCES: "${word}" ${(cause as Error).message}`,
        { cause },
      );
    }
  });
}

function wrapperOf(values: z.output<typeof valuesSchema>): string[] {
  const { nice, "io-priority": disk } = values;
  return [
    ...(nice === undefined ? [] : ["nice", "-n", String(nice)]),
    ...(disk === undefined
      ? []
      : ["ionice", ...(disk === "idle" ? ["-c3"] : ["-c2", `-n${disk}`])]),
  ];
}

/** Settings from the config file, over them the environment, over both the flags. @throws AppError `invalid-input`. */
export function readConfig({
  file,
  environment,
  flags,
}: {
  file: string | undefined;
  environment: Record<string, string | undefined>;
  flags: Partial<Record<SettingName, string>>;
}): Config {
  const fromFile = readFile(file);
  const raw: Record<string, string> = {};
  for (const name of Object.keys(settings) as SettingName[]) {
    const text = flags[name] ?? environment[variableOf(name)] ?? fromFile[variableOf(name)];
    if (text !== undefined && text !== "") raw[name] = text;
  }
  const parsed = valuesSchema.safeParse(raw);
  if (!parsed.success) {
    const fields = fieldErrors(parsed.error).map(({ field, message }) => ({
      field: variableOf(field.split(".")[0] as SettingName),
      message,
    }));
    throw new AppError(
      "invalid-input",
      fields.map(({ field, message }) => `${field} ${message}`).join("; "),
      { fields },
    );
  }
  const values = parsed.data;
  return {
    controlPlane: values["control-plane"],
    stateDir: values["state-dir"],
    mirrorRoots: values["mirror-roots"],
    policy: { sources: sourceRules(values.sources), options: values.options },
    rsync: values.rsync,
    wrapper: wrapperOf(values),
    daemon: {
      port: values["daemon-port"],
      address: values["daemon-address"] ?? null,
      tls: values["daemon-tls"],
    },
    parallel: values.parallel,
    minFreePercent: values["min-free-percent"],
    rootMarker: values["root-marker"] ?? null,
    metricsFile: values["metrics-file"] ?? null,
    quarantines: values.quarantines ?? null,
    quarantineDays: values["quarantine-days"],
    standingAfterSeconds:
      values["standing-after-seconds"] === "off" ? null : values["standing-after-seconds"],
  };
}

/** A setting that a command cannot do without. @throws AppError `invalid-input`. */
export function required<Value>(name: SettingName, value: Value | undefined): Value {
  if (value === undefined) {
    throw new AppError(
      "invalid-input",
      `${variableOf(name)} is missing: set it in ${defaultConfigFile}, in the environment, or as --${name}`,
    );
  }
  return value;
}
