import { Command } from "commander";
import { version } from "../protocol/version.ts";

/** Settings of the control plane, all of them from its environment. */
export const variables = {
  MIRRORFLEET_DATA: "data directory (default ./data)",
  DATABASE_URL:
    'Postgres 15 or newer; default: systemd\'s credential "mirrorfleet.database-url", or an embedded one in the data directory',
  MIRRORFLEET_LISTEN: "host:port (default 127.0.0.1:8420)",
  MIRRORFLEET_SECRET:
    'base64 of 32 random bytes; default: systemd\'s credential "mirrorfleet.secret", or the file "secret" in the data directory',
  MIRRORFLEET_PACKAGES: "directory with the agent's packages, for hosts that join (default none)",
  MIRRORFLEET_LOG_LEVEL: "debug, info, warn or error (default info)",
  OIDC_ISSUER: "OpenID Connect issuer whose tokens count as operators'",
  OIDC_AUDIENCE: "audience that they must have",
  OIDC_SCOPE_CLAIM: "claim with viewer, operator or admin (default mirrorfleet_scope)",
  OIDC_CLIENT_ID: "to sign in to the dashboard there: this client's name at the issuer",
  OIDC_CLIENT_SECRET: "its secret; left out: a public client",
  OIDC_REDIRECT_URI: "https://ADDRESS/sign-in/callback, as the issuer knows it",
  OIDC_SCOPES: 'what the issuer is asked for (default "openid profile email")',
};

const longest = Math.max(...Object.keys(variables).map(({ length }) => length));
const environment = Object.entries(variables)
  .map(([name, meaning]) => `  ${name.padEnd(longest)}  ${meaning}`)
  .join("\n");

type Action = () => Promise<void>;

/** The whole command line. Nothing has run yet: parse it. */
export function createProgram({
  serve,
  rotateKeys,
  migrate,
  doctor,
}: {
  serve: Action;
  rotateKeys: Action;
  migrate: Action;
  doctor: Action;
}): Command {
  const program = new Command("mirrorfleet-control-plane")
    .description("Holds projects and schedules, signs task orders. Without a command it serves.")
    .version(version)
    .addHelpText("after", `\nEnvironment:\n${environment}`)
    .exitOverride()
    .action(serve);
  program
    .command("keys")
    .description("the keys that sign task orders")
    .command("rotate")
    .description("make a new task key; agents follow by themselves")
    .action(rotateKeys);
  program
    .command("migrate")
    .description("bring the database to this version, where no server does")
    .action(migrate);
  program
    .command("doctor")
    .description("check database, keys, clock, listeners, disk: status 0 or 1")
    .action(doctor);
  return program;
}
