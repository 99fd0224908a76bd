import { Command } from "commander";
import { addAlert } from "./commands/alert.ts";
import { addApply } from "./commands/apply.ts";
import { addAudit } from "./commands/audit.ts";
import { addCompletion } from "./commands/completion.ts";
import { addFleet } from "./commands/fleet.ts";
import { addHeld } from "./commands/held.ts";
import { addHost } from "./commands/host.ts";
import { addImport } from "./commands/import.ts";
import { addKeys } from "./commands/keys.ts";
import { addLogin } from "./commands/login.ts";
import { addLogs } from "./commands/logs.ts";
import { addProject } from "./commands/project.ts";
import { addReplica } from "./commands/replica.ts";
import { addRun } from "./commands/run.ts";
import { addSchedule } from "./commands/schedule.ts";
import { addTask } from "./commands/task.ts";
import { addToken } from "./commands/token.ts";
import { exitStatuses } from "./exit-status.ts";
import { version } from "../protocol/version.ts";

const epilogue = () =>
  `\nExit status:\n${Object.entries(exitStatuses)
    .map(([status, meaning]) => `  ${status}  ${meaning}`)
    .join(
      "\n",
    )}\n\nEnvironment:\n  MIRRORFLEET_URL, MIRRORFLEET_TOKEN  instead of "login"\n  NO_COLOR                            no colours`;

/** The whole command line. Nothing has run yet: parse it. */
export function createProgram({ json = false } = {}): Command {
  const program = new Command("mirrorfleet")
    .description("Runs a fleet of mirrors from the command line, over the control plane's REST.")
    .version(version)
    .option("--json", "print JSON, for programs: also errors, on standard error")
    .option("--url <url>", "control plane (else MIRRORFLEET_URL, else that of login)")
    .addHelpText("after", epilogue)
    .showHelpAfterError('(add "--help" for help)')
    .configureHelp({ showGlobalOptions: true })
    // Errors of usage are then JSON too, and not commander's words.
    .configureOutput(json ? { writeErr: () => undefined } : {})
    .exitOverride();
  for (const add of [
    addLogin,
    addProject,
    addReplica,
    addHost,
    addRun,
    addTask,
    addLogs,
    addHeld,
    addAlert,
    addApply,
    addImport,
    addSchedule,
    addToken,
    addKeys,
    addAudit,
    addFleet,
    addCompletion,
  ])
    add(program);
  // Subcommands made with .command() inherit settings only from before they were made.
  return program;
}
