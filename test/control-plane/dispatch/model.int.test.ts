import fc from "fast-check";
import postgres from "postgres";
import { expect, test } from "vitest";
import { installJournal } from "../../../chaos/journal.ts";
import { createProject, useFleet } from "../../helpers/fleet.ts";
import {
  actions,
  type Clients,
  comeToRest,
  findLostResults,
  perform,
} from "../../helpers/task-commands.ts";
import { findBroken, readGenerations } from "../../helpers/task-invariants.ts";

const fleet = useFleet();

// MIRRORFLEET_PROPERTY_RUNS=1000 for a long one.
const numRuns = Number(process.env["MIRRORFLEET_PROPERTY_RUNS"] ?? 6);

/** What is known of the state before: generations, which only grow. */
type Model = { generations: Map<string, number> };

async function judge(clients: Clients, model: Model): Promise<void> {
  const [broken, lost, generations] = await Promise.all([
    findBroken(clients.sql),
    findLostResults(clients),
    readGenerations(clients.sql),
  ]);
  expect([...broken, ...lost]).toEqual([]);
  for (const [name, generation] of model.generations)
    expect([name, generations.get(name)]).toEqual([
      name,
      Math.max(generation, generations.get(name) ?? 0),
    ]);
  model.generations = generations;
}

const command = actions.map((several): fc.AsyncCommand<Model, Clients> => ({
  check: () => true,
  run: async (model, clients) => {
    const alone = several.length === 1;
    await Promise.all(several.map((action) => perform(clients, { action, alone })));
    await judge(clients, model);
  },
  toString: () => several.map((action) => JSON.stringify(action)).join(" beside "),
}));

/** A fleet without history; what earlier runs left is gone. */
async function begin(sql: Clients["sql"]): Promise<{ model: Model; real: Clients }> {
  const { current } = fleet;
  await sql`delete from projects`;
  await sql`delete from chaos_journal`;
  await sql`update hosts set drained_at = null, parallel = null`;
  await sql`update hosts set parallel = 1 where name = 'ftp1'`;
  await sql`update hosts set serves = 2 where name = 'master'`;
  current.clock.offsetSeconds = 0;
  for (const name of ["alpha", "beta"])
    await createProject(current, {
      name,
      upstream: `rsync://upstream.example.org/${name}`,
      maxAttempts: 3,
      retrySeconds: 1,
    });
  await current.master.poll();
  const real: Clients = {
    fleet: current,
    sql,
    leases: [],
    polls: new Map(),
    accepted: new Set(),
    refused: new Set(),
    runs: [],
  };
  return { model: { generations: await readGenerations(sql) }, real };
}

test(
  "whatever agents and operators do at the same time, tasks and runs keep to their states, and nothing is lost",
  { timeout: 3_600_000 },
  async () => {
    const sql = postgres({ ...fleet.current.connection, max: 4 });
    const counts = { leases: 0, accepted: 0, refused: 0 };
    try {
      await installJournal(sql);
      await fc.assert(
        fc.asyncProperty(
          fc.commands([command], { maxCommands: 40, size: "max" }),
          async (commands) => {
            const { model, real } = await begin(sql);
            await fc.asyncModelRun(() => ({ model, real }), commands);
            await comeToRest(real);
            await judge(real, model);
            expect(
              await sql`select from runs where state in ('queued', 'running', 'distributing')`,
            ).toHaveLength(0);
            const behind = await sql`
            select from replicas r join projects p on p.id = r.project_id
            where r.generation <> p.generation or p.unpublished or p.generation = 0`;
            expect(behind).toHaveLength(0);
            counts.leases += real.leases.length;
            counts.accepted += real.accepted.size;
            counts.refused += real.refused.size;
          },
        ),
        { numRuns },
      );
    } finally {
      await sql.end({ timeout: 1 });
    }
    expect(counts.accepted).toBeGreaterThan(numRuns);
    expect(counts.refused).toBeGreaterThan(0);
    if (numRuns > 100) process.stderr.write(`${JSON.stringify(counts)}\n`);
  },
);
