import { readFile } from "node:fs/promises";
import { text as readStream } from "node:stream/consumers";
import type { Command } from "commander";
import { AppError } from "../../protocol/errors.ts";
import type { FleetPlan } from "../../protocol/fleet-file.ts";
import { action } from "../context.ts";

const marks = { create: "+", update: "~", remove: "-", keep: " " };
const short = (value: unknown) => JSON.stringify(value).slice(0, 60);

function planText({ applied, plan, summary }: FleetPlan): string {
  const lines = plan.flatMap(({ action: what, project, changes }) => [
    `${marks[what]} ${project}`,
    ...changes.map(({ field, from, to }) => `    ${field}: ${short(from)} -> ${short(to)}`),
  ]);
  const { create, update, remove, keep } = summary;
  const counts = `${create} to make, ${update} to change, ${remove} to remove, ${keep} as they are`;
  return [...lines, `${applied ? "applied" : "dry run"}: ${counts}`].join("\n");
}

/** `apply`. */
export function addApply(program: Command): void {
  program
    .command("apply")
    .description("make the projects what a YAML or JSON file says; again, it changes nothing")
    .requiredOption("-f, --file <file>", '"-" is standard input')
    .option("--dry-run", "only say what would change")
    .option("--prune", "remove the projects that the file does not name; their files stay")
    .action(
      action<{ file: string; dryRun?: boolean; prune?: boolean }>(
        async ({ client, print }, { options: { file, dryRun = false, prune = false } }) => {
          const text =
            file === "-"
              ? await readStream(process.stdin)
              : await readFile(file, "utf8").catch((cause: Error) => {
                  throw new AppError("invalid-input", `cannot read ${file}: ${cause.message}`, {
                    cause,
                  });
                });
          print(await client.applyFleet(text, { dryRun, prune }), planText);
        },
      ),
    );
}
