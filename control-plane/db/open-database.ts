import type { Logger } from "pino";
import type { Connection } from "./connect.ts";
import { startEmbeddedPostgres } from "./embedded-postgres.ts";

type OpenDatabase = {
  connection: Connection;
  /** Settles when the embedded database has ended by itself; never otherwise. */
  exited: Promise<unknown>;
  close: () => Promise<unknown>;
};

/** The database that the settings name: one's own, or the embedded one, which is started. */
export async function openDatabase({
  config,
  log,
}: {
  config: { databaseUrl: string | undefined; dataDirectory: string };
  log: Logger;
}): Promise<OpenDatabase> {
  if (config.databaseUrl !== undefined) {
    return {
      connection: config.databaseUrl,
      exited: new Promise<never>(() => {}),
      close: async () => undefined,
    };
  }
  const { connection, exited, stop } = await startEmbeddedPostgres(
    { log: (message) => log.info(message) },
    { directory: `${config.dataDirectory}/postgres` },
  );
  return { connection, exited, close: stop };
}
