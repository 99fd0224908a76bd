#!/usr/bin/env node
import { existsSync } from "node:fs";
import { pino } from "pino";
import { AppError } from "../protocol/errors.ts";
import { readConfig } from "./config.ts";
import { examine } from "./doctor/examine.ts";
import { prepare } from "./prepare.ts";
import { rotateKeysHere } from "./rotate-keys.ts";
import { startServer } from "./server.ts";

const usage = `mirrorfleet-control-plane: holds projects and schedules, signs task orders.

  mirrorfleet-control-plane              serve
  mirrorfleet-control-plane keys rotate  make a new task key; agents follow by themselves
  mirrorfleet-control-plane migrate      bring the database to this version, where no server does
  mirrorfleet-control-plane doctor       check database, keys, clock, listeners, disk: status 0 or 1

Settings come from the environment:
  MIRRORFLEET_DATA       data directory (default ./data)
  DATABASE_URL           Postgres 15 or newer; default: an embedded one in the data directory
  MIRRORFLEET_LISTEN     host:port (default 127.0.0.1:8420)
  MIRRORFLEET_SECRET     base64 of 32 random bytes; default: the file "secret" in the data directory
  MIRRORFLEET_LOG_LEVEL  debug, info, warn or error (default info)
  OIDC_ISSUER            OpenID Connect issuer whose tokens count as operators'
  OIDC_AUDIENCE          audience that they must have
  OIDC_SCOPE_CLAIM       claim with viewer, operator or admin (default mirrorfleet_scope)
`;

/** Exit status of a usage or configuration error (sysexits.h EX_CONFIG): a restart would not help. */
const exitConfig = 78;

async function main(): Promise<number> {
  const args = process.argv.slice(2);
  if (args.includes("--help") || args.includes("-h")) {
    process.stdout.write(usage);
    return 0;
  }
  const rotates = args.join(" ") === "keys rotate";
  const doctor = args.join(" ") === "doctor";
  const migrates = args.join(" ") === "migrate";
  if (args.length > 0 && !rotates && !doctor && !migrates) {
    process.stderr.write(`mirrorfleet-control-plane: unknown argument "${args[0]}"\n\n${usage}`);
    return exitConfig;
  }
  const config = readConfig(process.env);
  const log = pino(
    { level: config.logLevel, base: { pid: process.pid } },
    pino.destination({ fd: 2, sync: true }),
  );
  if (rotates) {
    for (const { kid, state, usableFrom } of await rotateKeysHere({ config, log }))
      process.stdout.write(`${kid}  ${state}, from ${usableFrom}\n`);
    return 0;
  }
  if (migrates) {
    await prepare({ config, log });
    return 0;
  }
  if (doctor) {
    const print = (line: string) => process.stdout.write(`${line}\n`);
    return (await examine({ config, log, print })) ? 0 : 1;
  }
  const stopped = Promise.withResolvers<number>();
  let signals = 0;
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.on(signal, () => {
      signals += 1;
      stopped.resolve(0);
    });
  }
  const server = await startServer({ config, log });
  if (signals === 0) {
    process.stdout.write(`mirrorfleet control plane: ${server.url}\n`);
    process.stdout.write(`data directory:            ${config.dataDirectory}\n`);
    // With a database of one's own, another replica may have made the token, in its own directory.
    if (existsSync(config.adminTokenFile))
      process.stdout.write(`first admin token in:      ${config.adminTokenFile}\n`);
  }
  void server.databaseExited.then(() => {
    if (signals === 0) {
      log.fatal("the embedded database has ended by itself; its log tells why");
      stopped.resolve(1);
    }
  });
  const status = await stopped.promise;
  // From here on a second signal ends the program at once.
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
    process.on(signal, () => process.exit(1));
  await server.close();
  return status;
}

main().then(
  (status) => process.exit(status),
  (error: unknown) => {
    const known = error instanceof AppError;
    process.stderr.write(
      `mirrorfleet-control-plane: ${known ? error.message : (error as Error).stack}\n`,
    );
    process.exit(known && error.code === "invalid-input" ? exitConfig : 1);
  },
);
