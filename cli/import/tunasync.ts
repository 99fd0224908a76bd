import { posix } from "node:path";
import { parse } from "smol-toml";
import { z } from "zod";
import type { ProjectCreate } from "../../protocol/project.ts";
import { type Draft, nameLike } from "./place.ts";
import { noteTaker, type NoteTaker } from "./report.ts";
import { readRsync } from "./rsync-command.ts";
import { cronEvery } from "./schedule.ts";

const words = z.array(z.string()).optional();
const text = z.string().optional();
const number = z.number().optional();
const flag = z.boolean().optional();

const mirrorFields = {
  name: text,
  provider: z.enum(["command", "rsync", "two-stage-rsync"]).optional(),
  upstream: text,
  interval: number,
  retry: number,
  timeout: number,
  mirror_dir: text,
  mirror_subdir: text,
  role: text,
  command: text,
  use_ipv6: flag,
  use_ipv4: flag,
  exclude_file: text,
  username: text,
  password: text,
  rsync_no_timeout: flag,
  rsync_timeout: number,
  rsync_options: words,
  rsync_override: words,
  rsync_override_only: flag,
  stage1_profile: text,
};

/** What is read; everything else that a mirror says is named in the report. */
const mirrorSchema = z.looseObject(mirrorFields);
type Mirror = z.infer<typeof mirrorSchema> & { mirrors?: unknown };

const fileSchema = z.looseObject({
  global: z
    .looseObject({
      mirror_dir: text,
      interval: number,
      retry: number,
      timeout: number,
      concurrent: number,
      rsync_options: words,
      exec_on_success: words,
      exec_on_failure: words,
    })
    .default({}),
  include: z.looseObject({ include_mirrors: text }).optional(),
  mirrors: z.array(mirrorSchema).default([]),
});
export type TunasyncFile = z.infer<typeof fileSchema>;

/** Reads a worker.conf, or a file that one includes. @throws ZodError, TomlError. */
export const readTunasync = (toml: string): TunasyncFile => fileSchema.parse(parse(toml));

/** What only tunasync has, and what to do instead. */
const others: Record<string, string> = {
  exec_on_success: "no program runs after a sync: ask for events by alerts, or the status feeds",
  exec_on_failure:
    "no program runs after a failure: mirrorfleet alert receivers tell webhooks and mail",
  exec_on_success_extra:
    "no program runs after a sync: ask for events by alerts, or the status feeds",
  exec_on_failure_extra:
    "no program runs after a failure: mirrorfleet alert receivers tell webhooks and mail",
  env: "an rsync gets no environment of its own",
  memory_limit: "limit the agent's service: systemctl set-property mirrorfleet-agent MemoryMax=…",
  docker_image: "rsync runs in the agent, without a container",
  docker_volumes: "rsync runs in the agent, without a container",
  docker_options: "rsync runs in the agent, without a container",
  snapshot_path:
    "take snapshots of the file system beside the agent; MIRRORFLEET_QUARANTINES keeps deleted files",
  success_exit_codes:
    "mirrorfleet decides what counts as success: rsync's 0, and 24 with a warning",
  rsync_success_exit_codes:
    "mirrorfleet decides what counts as success: rsync's 0, and 24 with a warning",
  fail_on_match: "the log is kept, and not judged",
  size_pattern: "the size is taken from rsync's own figures",
  log_dir: "logs are kept by the control plane: mirrorfleet logs",
  mirror_type: "has no meaning here",
};

/** A list of mirrors in which children have what their parents say. */
export function flatMirrors(list: Mirror[], parent: Mirror = {}): Mirror[] {
  return list.flatMap((mirror) => {
    const { mirrors: children, ...own } = { ...parent, ...mirror };
    return Array.isArray(children)
      ? flatMirrors(z.array(mirrorSchema).parse(children), own)
      : [own];
  });
}

const base = [
  "-aHvh",
  "--no-o",
  "--no-g",
  "--stats",
  "--filter",
  "risk .~tmp~/",
  "--exclude",
  ".~tmp~/",
];
const deleting = ["--delete", "--delete-after", "--delay-updates", "--safe-links"];

/** The arguments that tunasync gives its last rsync. */
function argvOf(mirror: Mirror, { global }: TunasyncFile, destination: string): string[] {
  const twoStages = mirror.provider === "two-stage-rsync";
  const given = mirror.rsync_override ?? [...base, ...deleting];
  const upstream = mirror.username
    ? (mirror.upstream ?? "").replace(/^(rsyncs?:\/\/)(?:[^@/]*@)?/, `$1${mirror.username}@`)
    : (mirror.upstream ?? "");
  const family = mirror.use_ipv6 ? ["-6"] : mirror.use_ipv4 ? ["-4"] : [];
  const operands = [upstream, destination];
  if (mirror.rsync_override_only) return [...given, ...operands];
  return [
    ...(twoStages ? [...base, ...deleting] : given),
    ...(mirror.rsync_no_timeout ? [] : [`--timeout=${mirror.rsync_timeout ?? 120}`]),
    ...family,
    ...(mirror.exclude_file ? ["--exclude-from", mirror.exclude_file] : []),
    ...(global.rsync_options ?? []),
    ...(mirror.rsync_options ?? []),
    ...operands,
  ];
}

function scheduleOf(
  minutes: number,
  take: NoteTaker,
): Pick<ProjectCreate, "schedule" | "splaySeconds"> {
  const { schedule, exact } = cronEvery(minutes);
  const splaySeconds = Math.min(minutes * 30, 1800);
  const pause = "tunasync counted from a sync's end, mirrorfleet by the clock";
  const nearest = exact ? "" : ", the next that comes round evenly";
  take.changed(
    `interval = ${minutes}`,
    `schedule "${schedule}"${nearest}: ${pause}; splaySeconds spreads the starts`,
  );
  return { schedule, splaySeconds };
}

function fieldsOf(mirror: Mirror, { global }: TunasyncFile, take: NoteTaker) {
  const retry = mirror.retry ?? global.retry ?? 2;
  const timeout = mirror.timeout ?? global.timeout ?? 0;
  if (mirror.role === "slave")
    take.changed('role = "slave"', "roles are those of hosts: the project is pulled by the master");
  return {
    ...scheduleOf(mirror.interval || global.interval || 1440, take),
    maxAttempts: Math.max(1, Math.min(retry || 2, 100)),
    ...(timeout > 0 && { wallClockSeconds: Math.min(Math.max(timeout, 60), 30 * 86_400) }),
  };
}

/** Where tunasync put a mirror. */
function destinationOf(mirror: Mirror, { global }: TunasyncFile): string {
  if (mirror.mirror_dir) return mirror.mirror_dir;
  return posix.join(global.mirror_dir ?? "/", mirror.mirror_subdir ?? "", mirror.name ?? "");
}

/** Reads one mirror; null where it cannot become a project, which the notes say. */
export function draftOfMirror(
  mirror: Mirror,
  { file, readText }: { file: TunasyncFile; readText: (path: string) => string | null },
): { draft: Draft | null; take: NoteTaker } {
  const name = nameLike(mirror.name ?? "");
  const take = noteTaker(name ?? mirror.name ?? "(a mirror without a name)");
  const refuse = (what: string, why: string) => {
    take.impossible(what, why);
    return { draft: null, take };
  };
  if (name === null) return refuse("name", "no project can have this name: give it another");
  if (name !== mirror.name) take.changed(`name = "${mirror.name}"`, `is called ${name}`);
  for (const [field, instead] of Object.entries(others))
    if (mirror[field] !== undefined) take.impossible(field, instead);
  for (const field of Object.keys(mirror))
    if (!(field in mirrorFields) && !(field in others))
      take.impossible(field, "is not known here, and left out");
  if ((mirror.provider ?? "rsync") === "command")
    return refuse(
      `command = "${(mirror.command ?? "").trim().replace(/\s.*$/s, " …")}"`,
      "mirrorfleet runs rsync and no programs: leave it where it is, upload what it makes to the master (a project without upstream), and trigger that",
    );
  if (mirror.command) take.changed("command", "the agent's own rsync is used");
  const destination = destinationOf(mirror, file);
  const pull = readRsync({ take, readText }, { argv: argvOf(mirror, file, destination) });
  if (pull === null) return { draft: null, take };
  const stages = mirror.provider === "two-stage-rsync";
  if (stages)
    take.taken(
      `stage1_profile = "${mirror.stage1_profile ?? "debian"}"`,
      "rsync.indexesLast is debian",
    );
  const fields = {
    ...pull.fields,
    ...fieldsOf(mirror, file, take),
    ...(stages && { rsync: { ...pull.fields.rsync, indexesLast: "debian" as const } }),
  };
  return { draft: { name, destination: pull.destination, fields, take }, take };
}
