import postgres from "postgres";
import type { BenchDatabase } from "../database.ts";
import type { Contender } from "../contender.ts";
import type { BenchPlace } from "../fleet.ts";
import { startWorkers } from "../workers.ts";
import { installPeers } from "./install.ts";

/** The queues that ours is compared with, each in a database of its own in the same cluster. */
export async function openPeers(
  place: BenchPlace,
  { database }: { database: BenchDatabase },
): Promise<{ contenders: Contender[]; close: () => Promise<void> }> {
  installPeers();
  const sql = postgres({ ...database.settings("mirrorfleet"), max: 1 });
  for (const name of ["graphile", "pgboss"]) await sql.unsafe(`create database ${name}`);
  await sql.end();
  const { openGraphileQueue } = await import("./graphile-worker.ts");
  const { openBossQueue } = await import("./pg-boss.ts");
  const urls = { graphile: database.url("graphile"), boss: database.url("pgboss") };
  const graphile = await openGraphileQueue({ connectionString: urls.graphile });
  const boss = await openBossQueue({ connectionString: urls.boss });
  const start = (peer: string, connectionString: string, batched: boolean) => (agents: number) =>
    startWorkers(place, {
      file: "peers/work.ts",
      args: [peer],
      input: { connectionString, concurrency: agents, batched },
    });
  return {
    contenders: [
      { name: "graphile-worker", ...graphile, start: start("graphile", urls.graphile, false) },
      {
        name: "graphile-worker, local queue",
        ...graphile,
        start: start("graphile", urls.graphile, true),
      },
      { name: "pg-boss", ...boss, start: start("pg-boss", urls.boss, false) },
    ],
    close: async () => {
      await graphile.close();
      await boss.close();
    },
  };
}
