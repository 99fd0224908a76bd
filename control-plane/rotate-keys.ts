import { sql } from "drizzle-orm";
import type { Logger } from "pino";
import { AppError } from "../protocol/errors.ts";
import type { TaskKey } from "../protocol/task-key.ts";
import { deriveSecrets, loadSecret } from "./auth/secrets.ts";
import { openFleet, rotateTaskKeys } from "./auth/task-keys.ts";
import type { Config } from "./config.ts";
import { connect } from "./db/connect.ts";
import { insertAuditEvent } from "./db/queries/audit-events.ts";
import { migrate } from "./db/migrate.ts";
import { openDatabase } from "./db/open-database.ts";

/**
 * Rotates the task keys on the control plane's own host, without a token: on any database of one's own,
 * also while control planes run on it, or on the embedded one while it rests. @throws AppError `conflict`.
 */
export async function rotateKeysHere({
  config,
  log,
}: {
  config: Config;
  log: Logger;
}): Promise<TaskKey[]> {
  const database = await openDatabase({ config, log }).catch((cause: unknown) => {
    if (!(cause instanceof AppError) || cause.code !== "conflict") throw cause;
    throw new AppError(
      "conflict",
      'the control plane runs on its embedded database: use "mirrorfleet keys rotate", or stop it first',
      { cause },
    );
  });
  try {
    await migrate({ connection: database.connection });
    const { db, close } = connect({ connection: database.connection, max: 1 });
    try {
      const now = () => sql`now()`;
      const derived = deriveSecrets({
        secret: await loadSecret({ text: config.secret, file: config.secretFile }),
      });
      const secrets = { ...derived, fleet: await openFleet({ db, now, secrets: derived }) };
      return await db.transaction(async (tx) => {
        const ctx = { db: tx, now, secrets };
        const keys = await rotateTaskKeys(ctx);
        const event = { actor: "control plane's host", action: "rotateTaskKeys", target: "keys" };
        await insertAuditEvent(ctx, { ...event, before: null, after: keys });
        return keys;
      });
    } finally {
      await close();
    }
  } finally {
    await database.close();
  }
}
