import { writeFile } from "node:fs/promises";
import { sql } from "drizzle-orm";
import type { Ctx } from "../context.ts";
import { insertAuditEvent } from "../db/queries/audit-events.ts";
import { operatorTokens } from "../db/schema/operators.ts";
import { createOperatorToken, hasNoOperatorToken } from "./operator-tokens.ts";

/**
 * Makes the first admin token where there is none yet, and leaves it in a 0600 file.
 * Killed between file and commit, the next start writes another.
 */
export async function writeFirstAdminToken(
  { db, log, now }: Pick<Ctx, "db" | "log" | "now">,
  { file }: { file: string },
): Promise<void> {
  await db.transaction(async (tx) => {
    await tx.execute(sql`lock table ${operatorTokens} in exclusive mode`);
    if (!(await hasNoOperatorToken({ db: tx }))) return;
    const { token, info } = await createOperatorToken(
      { db: tx },
      { name: "first admin", scope: "admin" },
    );
    const event = { actor: "control plane", action: "createToken", target: "/v1/tokens" };
    await insertAuditEvent({ db: tx, now }, { ...event, before: null, after: info });
    await writeFile(file, `${token}\n`, { mode: 0o600, flush: true });
    log.info({ file }, "made the first admin token");
  });
}
