#!/usr/bin/env node
import { existsSync } from "node:fs";
import { CommanderError } from "commander";
import { pino } from "pino";
import { AppError } from "../protocol/errors.ts";
import { openNotify } from "../systemd/notify.ts";
import { openPulses } from "../systemd/pulses.ts";
import { startWatchdog } from "../systemd/watchdog.ts";
import { readConfig } from "./config.ts";
import { examine } from "./doctor/examine.ts";
import { prepare } from "./prepare.ts";
import { createProgram } from "./program.ts";
import { rotateKeysHere } from "./rotate-keys.ts";
import { startServer } from "./server.ts";

/** Exit status of a usage or configuration error (sysexits.h EX_CONFIG): a restart would not help. */
const exitConfig = 78;

/** What every command works with. */
function open() {
  const config = readConfig(process.env);
  const log = pino(
    { level: config.logLevel, base: { pid: process.pid } },
    pino.destination({ fd: 2, sync: true }),
  );
  return { config, log };
}

const print = (line: string) => process.stdout.write(`${line}\n`);

async function rotateKeys(): Promise<void> {
  for (const { kid, state, usableFrom } of await rotateKeysHere(open()))
    print(`${kid}  ${state}, from ${usableFrom}`);
}

async function migrate(): Promise<void> {
  await prepare(open());
}

async function doctor(): Promise<void> {
  process.exitCode = (await examine({ ...open(), print })) ? 0 : 1;
}

async function serve(): Promise<void> {
  const { config, log } = open();
  const warn = (message: string) => log.warn(message);
  const notify = openNotify({ environment: process.env, log: warn });
  const pulses = openPulses();
  startWatchdog({ environment: process.env, notify, pulses, log: warn });
  const stopped = Promise.withResolvers<number>();
  let signals = 0;
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.on(signal, () => {
      signals += 1;
      stopped.resolve(0);
    });
  }
  const server = await startServer({ config, log, pulses });
  if (signals === 0) {
    await notify("READY=1", `STATUS=serves at ${server.url}`);
    print(`mirrorfleet control plane: ${server.url}`);
    print(`data directory:            ${config.dataDirectory}`);
    // With a database of one's own, another replica may have made the token, in its own directory.
    if (existsSync(config.adminTokenFile))
      print(`first admin token in:      ${config.adminTokenFile}`);
  }
  void server.databaseExited.then(() => {
    if (signals === 0) {
      log.fatal("the embedded database has ended by itself; its log tells why");
      stopped.resolve(1);
    }
  });
  process.exitCode = await stopped.promise;
  // From here on a second signal ends the program at once.
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
    process.on(signal, () => process.exit(1));
  void notify("STOPPING=1");
  await server.close();
}

async function main(): Promise<void> {
  try {
    await createProgram({ serve, rotateKeys, migrate, doctor }).parseAsync();
  } catch (error) {
    if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : exitConfig;
    else {
      const known = error instanceof AppError;
      process.stderr.write(
        `mirrorfleet-control-plane: ${known ? error.message : (error as Error).stack}\n`,
      );
      process.exitCode = known && error.code === "invalid-input" ? exitConfig : 1;
    }
  }
  process.exit();
}

void main();
