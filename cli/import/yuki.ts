import { z } from "zod";
import { importFtpsync } from "./ftpsync.ts";
import { type Draft, nameLike } from "./place.ts";
import { noteTaker, type NoteTaker } from "./report.ts";
import { readRsync } from "./rsync-command.ts";
import { cronOf } from "./schedule.ts";

const scalar = z.union([z.string(), z.number(), z.boolean()]).transform(String);

/** A repository's file. `cron` was `interval` in older versions. */
const repositorySchema = z.looseObject({
  name: z.string(),
  image: z.string(),
  cron: z.string().optional(),
  interval: z.string().optional(),
  storageDir: z.string(),
  retry: z.number().optional(),
  envs: z.record(z.string(), scalar).default({}),
});
export type Repository = z.infer<typeof repositorySchema>;

const merged = (first: unknown, second: unknown): unknown =>
  isMap(first) && isMap(second)
    ? Object.fromEntries(
        [...new Set([...Object.keys(first), ...Object.keys(second)])].map((key) => [
          key,
          key in second ? merged(first[key], second[key]) : first[key],
        ]),
      )
    : second;

const isMap = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** One repository from the files of that name in several directories: the last one wins, field by field. @throws ZodError. */
export const readRepository = (values: unknown[]): Repository =>
  repositorySchema.parse(values.reduce(merged));

/** Splits a variable as the image's shell does, without quotes of its own. */
const words = (text: string | undefined) => (text ?? "").split(/\s+/).filter(Boolean);

/** The arguments that the image `ustcmirror/rsync` gives its rsync. */
function argvOf({ envs, storageDir }: Repository): string[] {
  const isTrue = (name: string, otherwise: string) => (envs[name] || otherwise) === "true";
  const keeps = isTrue("RSYNC_NO_DELETE", "false");
  const host = `${envs["RSYNC_USER"] ? `${envs["RSYNC_USER"]}@` : ""}${envs["RSYNC_HOST"] ?? ""}`;
  const shell = envs["RSYNC_RSH"];
  const filters = (envs["RSYNC_FILTER"] ?? "").split("\n").filter((line) => line.trim() !== "");
  const bind = envs["BIND_ADDRESS"];
  return [
    ...(envs["RSYNC_EXCLUDE"] ? words(envs["RSYNC_EXCLUDE"]) : ["--exclude", ".~tmp~/"]),
    ...filters.map((rule) => `--filter=${rule.trimStart()}`),
    ...(envs["RSYNC_BW"] ? [`--bwlimit=${envs["RSYNC_BW"]}`] : []),
    ...(keeps ? [] : [`--max-delete=${envs["RSYNC_MAXDELETE"] || "4000"}`]),
    "-pPrltvH",
    "--partial-dir=.rsync-partial",
    `--timeout=${envs["RSYNC_TIMEOUT"] || "14400"}`,
    "--safe-links",
    ...(keeps ? [] : ["--delete"]),
    ...(!keeps && isTrue("RSYNC_DELETE_EXCLUDED", "true") ? ["--delete-excluded"] : []),
    ...(bind ? [bind.includes(":") ? "-6" : "-4", `--address=${bind}`] : []),
    ...(shell ? ["-e", shell] : []),
    ...words(envs["RSYNC_EXTRA"]),
    shell
      ? `${host}:${envs["RSYNC_PATH"] ?? ""}`
      : `rsync://${host}/${(envs["RSYNC_PATH"] ?? "").replace(/^\/+/, "")}`,
    storageDir,
  ];
}

const others: Record<string, string> = {
  network: "the agent uses the host's network",
  bindIP: "the agent connects from the address that the system chooses",
  volumes: "rsync runs in the agent, without a container",
  user: "files belong to the agent's user",
  logRotCycle: "the control plane removes old logs: mirrorfleet settings",
};

/** Reads one repository; null where it cannot become a project, which the notes say. */
export function importRepository(
  repository: Repository,
  { zone, readText }: { zone: string; readText: (path: string) => string | null },
): { draft: Draft | null; take: NoteTaker } {
  const name = nameLike(repository.name);
  const { image, envs, storageDir, retry } = repository;
  const time = repository.cron ?? repository.interval ?? "";
  const [, kind = image] = /^(?:.*\/)?([\w-]+)(?::[\w.-]+)?$/.exec(image) ?? [];
  const ftpsync = kind === "archvsync" || kind === "ftpsync";
  const variables = new Map<string, string>(Object.entries(envs));
  const { draft, take } = ftpsync
    ? importFtpsync(
        { path: `${repository.name}.conf`, text: "" },
        { variables: variables.set("TO", storageDir), readText, schedule: "" },
      )
    : rsyncOf(repository, { name, kind, readText });
  for (const [field, why] of Object.entries(others))
    if (repository[field] !== undefined) take.changed(field, why);
  if (draft === null) return { draft, take };
  const schedule = cronOf(time);
  if (schedule === null)
    take.impossible(`cron: ${time}`, "there is no such schedule: it is pulled only when triggered");
  else take.taken(`cron: ${time}`, `schedule "${schedule}" in ${zone}`);
  const fields = {
    ...draft.fields,
    ...(schedule === null ? { schedule } : { schedule, zone }),
    maxAttempts: Math.min((retry ?? 0) + 1, 100),
  };
  return { draft: { ...draft, name: name ?? draft.name, fields }, take };
}

function rsyncOf(
  repository: Repository,
  {
    name,
    kind,
    readText,
  }: { name: string | null; kind: string; readText: (path: string) => string | null },
): { draft: Draft | null; take: NoteTaker } {
  const take = noteTaker(name ?? repository.name);
  if (name === null || kind !== "rsync") {
    take.impossible(
      `image: ${repository.image}`,
      name === null
        ? "no project can have this name: give it another"
        : "it is no rsync: leave it where it is, upload what it makes to the master (a project without upstream), and trigger that",
    );
    return { draft: null, take };
  }
  const tls = repository.envs["RSYNC_SSL"] === "true";
  const pull = readRsync({ take, readText }, { argv: argvOf(repository), tls });
  if (pull === null) return { draft: null, take };
  return { draft: { name, destination: pull.destination, fields: pull.fields, take }, take };
}
