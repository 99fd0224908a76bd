import type { Command } from "commander";
import { AppError } from "../protocol/errors.ts";
import { readSecret } from "./read-secret.ts";
import { wholeNumberOptionOr } from "./whole-number.ts";
import { fromYaml } from "./yaml.ts";

/** Options that say something of a project. */
export type Fields = {
  upstream?: string;
  schedule?: string;
  zone?: string;
  path?: string;
  description?: string;
  freshWithinSeconds?: number | null;
  loginUser?: string;
  set?: string[];
};

/** Collects an option that may be repeated. */
export const collect = (value: string, before: string[] = []) => [...before, value];

/** "rsync.bandwidthKiBps=2000" as {rsync: {bandwidthKiBps: 2000}}; values are YAML. */
function assignment(text: string): Record<string, unknown> {
  const at = text.indexOf("=");
  if (at < 1)
    throw new AppError("invalid-input", `--set "${text}" must be field=value: maxAttempts=5`);
  // Arguments can be read by everybody on the machine, and stay in the shell's history.
  if (text.startsWith("login") && /password/.test(text))
    throw new AppError(
      "invalid-input",
      "a password must not stand in an argument: use --login-user, which asks for it or reads it from standard input",
    );
  return text
    .slice(0, at)
    .split(".")
    .reduceRight<unknown>(
      (value, key) => ({ [key]: value }),
      fromYaml(text.slice(at + 1), `--set ${text.slice(0, at)}`),
    ) as Record<string, unknown>;
}

function merge(left: Record<string, unknown>, right: Record<string, unknown>) {
  const merged = { ...left };
  for (const [key, value] of Object.entries(right)) {
    const before = merged[key];
    const both = [before, value].every(
      (each) => typeof each === "object" && each !== null && !Array.isArray(each),
    );
    merged[key] = both
      ? merge(before as Record<string, unknown>, value as Record<string, unknown>)
      : value;
  }
  return merged;
}

/** The fields that options name, as a body has them. @throws AppError `invalid-input`. */
export async function fieldsOf({
  set = [],
  loginUser,
  ...fields
}: Fields): Promise<Record<string, unknown>> {
  const named = set.map(assignment).reduce(merge, { ...fields });
  if (loginUser === undefined) return named;
  const password = await readSecret(`Password of ${loginUser} at the upstream: `);
  return merge(named, { login: { user: loginUser, password } });
}

/** Adds those options to a command. */
export const withFields = (command: Command) =>
  command
    .option("--upstream <url>", "rsync://host/module/; without it the project is hosted here")
    .option("--schedule <cron>", "cron expression, 5 fields or 6 with seconds")
    .option("--zone <zone>", "time zone of the schedule (default UTC)")
    .option("--path <path>", "below the mirror root (default: the name)")
    .option(
      "--fresh-within-seconds <n>",
      'age at which a replica counts as stale; "derived": twice the longest pause of its schedule',
      wholeNumberOptionOr("derived"),
    )
    .option("--description <text>", "what people call it")
    .option(
      "--login-user <user>",
      "login for the upstream; its password is asked for, or read from standard input",
    )
    .option(
      "--set <field=value>",
      "any other field, value as YAML: rsync.bandwidthKiBps=2000",
      collect,
    );
