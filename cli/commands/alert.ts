import type { Command } from "commander";
import type { Alert } from "../../protocol/alert.ts";
import { action } from "../context.ts";
import { ago, table } from "../format.ts";
import { addReceivers } from "./alert-receivers.ts";

const alertTable = (alerts: Alert[]) =>
  alerts.length === 0
    ? "no alerts"
    : table(
        ["ALERT", "PROJECT", "HOST", "SINCE", "ENDED", "WHAT"],
        alerts.map(({ condition, project, host, root, openedAt, closedAt, detail }) => [
          condition,
          project,
          host,
          ago(openedAt),
          closedAt === null ? "-" : ago(closedAt),
          root === null ? detail : `${root}: ${detail}`,
        ]),
      );

/** `alert`. */
export function addAlert(program: Command): void {
  const alert = program.command("alert").description("alerts: what is wrong, and who is told");
  alert
    .command("list")
    .description("list what is wrong now")
    .option("--all", "also what is over")
    .option("--limit <n>", "how many (default 50, at most 200)")
    .action(
      action<{ all?: boolean; limit?: string }>(async ({ client, print }, { options }) =>
        print(
          (
            await client.listAlerts({
              limit: options.limit,
              open: options.all ? undefined : true,
            })
          ).items,
          alertTable,
        ),
      ),
    );
  addReceivers(alert);
}
