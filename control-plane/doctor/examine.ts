import { setTimeout as sleep } from "node:timers/promises";
import type { Logger } from "pino";
import type { Config } from "../config.ts";
import { connect, type Connection } from "../db/connect.ts";
import { fault } from "./cure.ts";
import {
  checkClock,
  checkConnections,
  checkDurability,
  checkMigrations,
  checkServer,
} from "./database.ts";
import { checkKeys } from "./keys.ts";
import { checkNotifications } from "./notifications.ts";
import { checkPackages } from "./packages.ts";
import { notReached, reachDatabase } from "./reach-database.ts";
import { checkAddress, checkDataDirectory, checkRoom } from "./this-machine.ts";

type Check = { name: string; run: () => Promise<string> };
type Print = (line: string) => void;

/** Longest time of one check: what hangs is at fault, too. */
const patienceMilliseconds = 20_000;

/** Runs one check and prints its line. True when it holds. */
async function examineOne({ name, run }: Check, print: Print): Promise<boolean> {
  const patience = new AbortController();
  const tooLong = sleep(patienceMilliseconds, undefined, { signal: patience.signal }).then(() => {
    throw fault(`no answer within ${patienceMilliseconds / 1000} seconds`);
  });
  // Given up when the check has ended first.
  tooLong.catch(() => undefined);
  try {
    print(`ok    ${name}: ${await Promise.race([run(), tooLong])}`);
    return true;
  } catch (error) {
    print(`FAIL  ${name}: ${notReached(error).message}`);
    return false;
  } finally {
    patience.abort();
  }
}

async function examineAll(checks: Check[], print: Print): Promise<boolean> {
  let good = true;
  for (const check of checks) good = (await examineOne(check, print)) && good;
  return good;
}

/** Checks what is in the database, and how it serves; the rest has no sense where it is not reached. */
async function examineDatabase(
  { config, print }: { config: Config; print: Print },
  { connection }: { connection: Connection },
): Promise<boolean> {
  const { db, close } = connect({ connection, max: 1 });
  try {
    if (!(await examineOne({ name: "database", run: () => checkServer(db) }, print))) return false;
    return await examineAll(
      [
        { name: "migrations", run: () => checkMigrations(db) },
        { name: "durability", run: () => checkDurability(db) },
        { name: "connections", run: () => checkConnections(db) },
        { name: "keys", run: () => checkKeys({ db }, { config }) },
        { name: "clock", run: () => checkClock(db) },
        { name: "notifications", run: () => checkNotifications({ connection }) },
      ],
      print,
    );
  } finally {
    await close();
  }
}

/**
 * Checks what the control plane needs, beside one that runs or before its start; prints a line each, with
 * the cure where something is wrong. Makes and changes nothing. True when all of it holds.
 */
export async function examine({
  config,
  log,
  print,
}: {
  config: Config;
  log: Logger;
  print: Print;
}): Promise<boolean> {
  const here = await examineAll(
    [
      { name: "data directory", run: () => checkDataDirectory(config) },
      { name: "disk", run: () => checkRoom(config) },
      { name: "address", run: () => checkAddress(config) },
      { name: "packages", run: () => checkPackages(config) },
    ],
    print,
  );
  let database: Awaited<ReturnType<typeof reachDatabase>>;
  try {
    database = await reachDatabase({ config, log });
  } catch (error) {
    print(`FAIL  database: ${(error as Error).message}`);
    return false;
  }
  if (!database) {
    print("ok    database: none yet: the first start of the control plane makes it");
    return here;
  }
  try {
    return (await examineDatabase({ config, print }, database)) && here;
  } finally {
    await database.close();
  }
}
