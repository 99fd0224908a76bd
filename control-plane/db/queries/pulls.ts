import { sql } from "drizzle-orm";

/** Is a task `t` a pull from the upstream? A dry run only looked, and an undo asked no upstream. */
export const isPull = sql`(t.role = 'master' and not t.dry_run
  and (select run.trigger from runs run where run.id = t.run_id) <> 'undo')`;
