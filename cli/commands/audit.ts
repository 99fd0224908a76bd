import type { Command } from "commander";
import { action } from "../context.ts";
import { table, time } from "../format.ts";

/** `audit`. */
export function addAudit(program: Command): void {
  program
    .command("audit")
    .description("who changed what, newest first (--json: with what was before and after)")
    .option("--actor <name>")
    .option("--action <action>", "what was done, for example project.update")
    .option("--target <path>", "beginning of what was changed: /v1/projects/debian")
    .option("--since <time>")
    .option("--limit <n>", "how many (default 20, at most 200)")
    .action(
      action<{ actor?: string; action?: string; target?: string; since?: string; limit?: string }>(
        async ({ client, print }, { options }) =>
          print((await client.listAuditEvents({ limit: 20, ...options })).items, (events) =>
            table(
              ["AT", "WHO", "WHAT", "TARGET"],
              events.map(({ at, actor, action: what, target }) => [time(at), actor, what, target]),
            ),
          ),
      ),
    );
}
