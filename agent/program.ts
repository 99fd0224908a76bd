import { readFile } from "node:fs/promises";
import { text as readStream } from "node:stream/consumers";
import { Command, CommanderError } from "commander";
import { AppError } from "../protocol/errors.ts";
import { checkHost } from "./check/host.ts";
import {
  type Config,
  defaultConfigFile,
  readConfig,
  required,
  type SettingName,
  settings,
  variableOf,
} from "./config.ts";
import { join } from "./join.ts";
import { runAgent } from "./run.ts";
import { version } from "../protocol/version.ts";
import { openNotify } from "../systemd/notify.ts";
import { openPulses } from "../systemd/pulses.ts";
import { startWatchdog } from "../systemd/watchdog.ts";

/** sysexits.h EX_CONFIG: configuration is wrong or the agent was revoked; a restart would not help. */
const exitConfig = 78;

const camelCase = (name: string) =>
  name.replaceAll(/-(.)/g, (_, letter: string) => letter.toUpperCase());

/** Adds the settings as flags to a command. */
function withSettings(command: Command): Command {
  command.option(
    "--config <file>",
    `config file of NAME=value lines (default ${defaultConfigFile})`,
  );
  for (const [name, help] of Object.entries(settings))
    command.option(`--${name} <value>`, `${help}; ${variableOf(name as SettingName)}`);
  return command;
}

function configOf(options: Record<string, string | undefined>): Config {
  const flags: Partial<Record<SettingName, string>> = {};
  for (const name of Object.keys(settings) as SettingName[]) {
    const value = options[camelCase(name)];
    if (value !== undefined) flags[name] = value;
  }
  return readConfig({ file: options["config"], environment: process.env, flags });
}

/** One line on stderr; under systemd with the priority that the journal reads. */
function log(message: string): void {
  const line = message.replaceAll("\n", " ");
  process.stderr.write(
    process.env["JOURNAL_STREAM"] ? `<6>${line}\n` : `${new Date().toISOString()} ${line}\n`,
  );
}

async function readToken(file: string | undefined): Promise<string> {
  const token =
    file === undefined
      ? process.env["MIRRORFLEET_ENROLMENT_TOKEN"]
      : file === "-"
        ? await readStream(process.stdin)
        : await readFile(file, "utf8").catch((cause: Error) => {
            throw new AppError("invalid-input", `--token-file: ${cause.message}`, { cause });
          });
  if (token === undefined)
    throw new AppError(
      "invalid-input",
      'needs the enrolment token: --token-file FILE ("-" is standard input) or MIRRORFLEET_ENROLMENT_TOKEN',
    );
  return token.trim();
}

async function joinCommand(options: Record<string, string | undefined> & { replace?: string }) {
  const config = configOf(options);
  const controlPlane = required("control-plane", config.controlPlane);
  const token = await readToken(options["tokenFile"]);
  const identity = await join({
    controlPlane,
    stateDir: config.stateDir,
    token,
    replace: Boolean(options.replace),
  });
  process.stdout.write(
    `joined as host ${identity.host} (${identity.roles.join(", ")}); next: mirrorfleet-agent check --before-start, then start the service\n`,
  );
}

async function runCommand(options: Record<string, string | undefined>) {
  const notify = openNotify({ environment: process.env, log });
  const pulses = openPulses();
  const stop = new AbortController();
  const hurry = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.on(signal, () => {
      if (hurry.signal.aborted) process.exit(1);
      if (stop.signal.aborted) hurry.abort();
      else {
        log("stopping: ends its rsyncs and delivers their results; a second signal hurries");
        stop.abort();
        void notify("STOPPING=1");
        setTimeout(() => hurry.abort(), 10_000).unref();
      }
    });
  }
  startWatchdog({ environment: process.env, notify, pulses, log });
  const signals = { stop: stop.signal, hurry: hurry.signal };
  await runAgent({ config: configOf(options), log, notify, pulses, ...signals });
}

async function checkCommand(options: Record<string, string | undefined>) {
  const good = await checkHost({
    config: configOf(options),
    beforeStart: Boolean(options["beforeStart"]),
    print: (line) => process.stdout.write(`${line}\n`),
  });
  if (!good) process.exitCode = 1;
}

/** The whole command line. Nothing has run yet: parse it. */
export function createProgram(): Command {
  const program = new Command("mirrorfleet-agent")
    .description(
      "Pulls mirrors to this host, as a control plane's signed task orders and this host's own policy say.",
    )
    .version(version)
    .exitOverride();
  withSettings(program.command("join"))
    .description("enrol this host with a one-use token")
    .option("--token-file <file>", 'file with the enrolment token; "-" is standard input')
    .option("--replace", "make new keys for a host that has joined before")
    .action(joinCommand);
  withSettings(program.command("run"))
    .description("poll for task orders and run them")
    .action(runCommand);
  withSettings(program.command("check"))
    .description(
      "check this host's set-up, at any time, with a cure for what is wrong: status 0 where nothing FAILs, 1 where something does, 78 where the settings cannot be read",
    )
    .option("--before-start", "the service need not run yet")
    .action(checkCommand);
  return program;
}

/** Runs the command line of this process, and ends it. */
export async function runProgram(): Promise<never> {
  try {
    await createProgram().parseAsync();
  } catch (error) {
    if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : 2;
    else {
      const known = error instanceof AppError;
      process.stderr.write(
        `mirrorfleet-agent: ${known ? error.message : (error as Error).stack}\n`,
      );
      process.exitCode =
        known && ["agent-revoked", "invalid-input", "not-found"].includes(error.code)
          ? exitConfig
          : 1;
    }
  }
  process.exit();
}
