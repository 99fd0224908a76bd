import type { Command } from "commander";
import { action } from "../context.ts";
import { table } from "../format.ts";

/** `schedule`. */
export function addSchedule(program: Command): void {
  program
    .command("schedule")
    .description("schedules")
    .command("preview")
    .description("when a cron expression fires next")
    .argument("<cron>", 'in quotes: "17 */4 * * *"')
    .option("--zone <zone>", "time zone (default UTC)")
    .option("--count <n>", "how many (default 10)")
    .action(
      action<{ zone?: string; count?: number }>(
        async ({ client, print }, { args: [schedule], options }) =>
          print(
            await client.previewSchedule({ schedule: schedule!, ...options }),
            ({ occurrences }) =>
              table(
                ["LOCAL", "UTC", "NOTE"],
                occurrences.map(({ at, local, note }) => [local, at, note ?? ""]),
              ),
          ),
      ),
    );
}
