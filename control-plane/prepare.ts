import { mkdir } from "node:fs/promises";
import { sql } from "drizzle-orm";
import type { Logger } from "pino";
import { writeFirstAdminToken } from "./auth/first-admin.ts";
import { deriveSecrets, loadSecret } from "./auth/secrets.ts";
import { openFleet } from "./auth/task-keys.ts";
import type { Config } from "./config.ts";
import { connect } from "./db/connect.ts";
import { migrate } from "./db/migrate.ts";
import { openDatabase } from "./db/open-database.ts";
import { deriveFreshTargets } from "./fleet/fresh-targets.ts";

/**
 * Brings a database to this version and makes the first admin token, as a server does when it starts: for
 * platforms where none does. Doing it again does nothing.
 * @throws AppError `conflict` where the secret is another than the one that the database was set up with.
 */
export async function prepare({ config, log }: { config: Config; log: Logger }): Promise<void> {
  await mkdir(config.dataDirectory, { recursive: true, mode: 0o711 });
  const database = await openDatabase({ config, log });
  try {
    await migrate({ connection: database.connection });
    const { db, close } = connect({ connection: database.connection, max: 2, patient: true });
    try {
      const now = () => sql`now()`;
      const secret = await loadSecret({ text: config.secret, file: config.secretFile });
      await openFleet({ db, now, secrets: deriveSecrets({ secret }) });
      await deriveFreshTargets({ db });
      await writeFirstAdminToken({ db, log, now }, { file: config.adminTokenFile });
    } finally {
      await close();
    }
  } finally {
    await database.close();
  }
}
