import { defaultConfigFile, type SettingName, settings, variableOf } from "../../agent/config.ts";
import { createProgram as createAgent } from "../../agent/program.ts";
import { exitStatuses } from "../../cli/exit-status.ts";
import { createProgram as createCli } from "../../cli/program.ts";
import { createProgram as createControlPlane, variables } from "../../control-plane/program.ts";
import type { Page } from "./page.ts";

const never = async () => undefined;

const serviceStatus = {
  0: "done",
  1: "did not succeed; a restart may help",
  78: "settings are wrong, or, of an agent, it has not joined or was revoked: a restart does not help",
};

const agentVariables = Object.fromEntries(
  Object.entries(settings).map(([name, help]) => [variableOf(name as SettingName), help]),
);

/** The man pages of the three programs. */
export function manPages(): Page[] {
  return [
    {
      program: createCli(),
      section: 1,
      environment: {
        MIRRORFLEET_URL: 'control plane, instead of that of "login"',
        MIRRORFLEET_TOKEN: 'operator token, instead of that of "login"',
        NO_COLOR: "no colours",
      },
      exitStatus: exitStatuses,
      files: {},
      seeAlso: ["mirrorfleet-agent(8)", "mirrorfleet-control-plane(8)"],
    },
    {
      program: createAgent(),
      section: 8,
      environment: agentVariables,
      exitStatus: { ...serviceStatus, 2: "wrong usage of the command line" },
      files: {
        [defaultConfigFile]: "settings, lines of NAME=value with the names of the environment",
        "/var/lib/mirrorfleet-agent": "the agent's keys, and what waits to be delivered",
      },
      seeAlso: ["rsync(1)", "mirrorfleet(1)", "mirrorfleet-control-plane(8)"],
    },
    {
      program: createControlPlane({
        serve: never,
        rotateKeys: never,
        migrate: never,
        doctor: never,
      }),
      section: 8,
      environment: variables,
      exitStatus: serviceStatus,
      files: {
        "/etc/mirrorfleet/control-plane.conf": "the environment, where installed as a package",
        "/var/lib/mirrorfleet": "data directory, where installed as a package",
      },
      seeAlso: ["mirrorfleet(1)", "mirrorfleet-agent(8)"],
    },
  ];
}
