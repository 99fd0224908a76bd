import { isNotNull, sql } from "drizzle-orm";
import { openKeys } from "../auth/task-keys.ts";
import { deriveSecrets, loadSecret } from "../auth/secrets.ts";
import { decryptAtRest } from "../auth/at-rest.ts";
import type { Config } from "../config.ts";
import type { Database } from "../db/connect.ts";
import { isThere } from "../db/files.ts";
import { projects } from "../db/schema/projects.ts";
import { fault } from "./cure.ts";

/** Is there the secret, and does it open what the database keeps: task keys, upstreams' passwords? */
export async function checkKeys(
  { db }: { db: Database },
  { config }: { config: Pick<Config, "secret" | "secretFile"> },
): Promise<string> {
  const {
    rows: [table],
  } = await db.execute(sql`select to_regclass('fleet') is not null there`);
  const given = config.secret !== undefined || (await isThere(config.secretFile));
  if (!table!["there"]) return "none yet: the first start of the control plane makes them";
  const {
    rows: [fleet],
  } = await db.execute(sql`select count(*)::int rows from fleet`);
  if (fleet!["rows"] === 0) return "none yet: the first start of the control plane makes them";
  if (!given)
    throw fault(
      `${config.secretFile} is missing: restore it from the backup, or set MIRRORFLEET_SECRET; do not start without, as a new one would be made that opens nothing`,
    );
  const secrets = deriveSecrets({
    secret: await loadSecret({ text: config.secret, file: config.secretFile }),
  });
  const keys = await openKeys({ db, now: () => sql`now()`, secrets });
  const stored = await db
    .select({ name: projects.name, loginPassword: projects.loginPassword })
    .from(projects)
    .where(isNotNull(projects.loginPassword));
  for (const { name, loginPassword } of stored)
    await decryptAtRest(secrets, { encrypted: loginPassword!, owner: `project ${name}` }).catch(
      (cause: unknown) => {
        throw fault(
          `the password of project ${name}'s upstream cannot be opened: store it again with "mirrorfleet project edit ${name}"`,
          cause,
        );
      },
    );
  const pending = keys.find(({ state }) => state === "to come");
  return `${keys.length} open, ${pending ? `a new one is used from ${pending.usableFrom}` : "none is to come"}`;
}
