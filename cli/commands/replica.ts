import type { Command } from "commander";
import type { Replica } from "../../protocol/project.ts";
import { action } from "../context.ts";
import { ago, table } from "../format.ts";

const replicaTable = (replicas: Replica[]) =>
  table(
    [
      "PROJECT",
      "HOST",
      "ROLE",
      "PATH",
      "SOURCE",
      "GENERATION",
      "BEHIND",
      "SYNCED",
      "FRESH",
      "STATE",
    ],
    replicas.map((replica) => [
      replica.project,
      replica.host,
      replica.role,
      replica.root === null ? replica.path : `${replica.root}/${replica.path}`,
      replica.source,
      replica.generation,
      replica.behind,
      ago(replica.syncedAt),
      ago(replica.freshAt),
      replica.paused ? "paused" : replica.stale ? "stale" : "",
    ]),
  );

/** `replica`. */
export function addReplica(program: Command): void {
  const replica = program.command("replica").description("replicas: one project on one host");
  replica
    .command("list")
    .description("list replicas")
    .option("--project <project>")
    .option("--host <host>")
    .action(
      action<{ project?: string; host?: string }>(async ({ client, print }, { options }) =>
        print(await client.listReplicas(options), replicaTable),
      ),
    );
  for (const [verb, text] of [
    ["pause", "stop a host's share of a project"],
    ["resume", "let a paused replica go on; it catches up"],
  ] as const)
    replica
      .command(verb)
      .description(text)
      .argument("<project>")
      .argument("<host>")
      .action(
        action(async ({ client, print }, { args: [project, host] }) =>
          print(await client[`${verb}Replica`](project!, host!), (changed) =>
            replicaTable([changed]),
          ),
        ),
      );
  replica
    .command("move")
    .description(
      "move a replica to another mirror root of its host; the old tree stays until you remove it",
    )
    .argument("<project>")
    .argument("<host>")
    .argument("<root>", 'one of "host show"; "default" is the first')
    .action(
      action(async ({ client, print }, { args: [project, host, root] }) =>
        print(await client.moveReplica(project!, host!, root === "default" ? null : root!), (run) =>
          run ? `run ${run.id}: ${run.state}` : "moved; there is nothing to pull yet",
        ),
      ),
    );
  replica
    .command("resync")
    .description("pull a replica again, whatever its generation")
    .argument("<project>")
    .argument("<host>")
    .action(
      action(async ({ client, print }, { args: [project, host] }) =>
        print(
          await client.resyncReplica(project!, host!),
          ({ id, state }) => `run ${id}: ${state}`,
        ),
      ),
    );
}
