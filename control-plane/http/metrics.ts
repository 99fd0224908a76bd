import { type Metric, Registry } from "prom-client";
import { version } from "../../protocol/version.ts";
import type { Ctx } from "../context.ts";
import { type MetricSource, metricSources } from "../db/queries/metrics.ts";
import { readWaits } from "../db/queries/totals.ts";
import { type Operation, raw } from "./operation.ts";

const prefix = "mirrorfleet_";

type Value = { metricName?: string; labels: Record<string, string | number>; value: number };
type Family = {
  name: string;
  help: string;
  type: "gauge" | "counter" | "histogram";
  values: Value[];
};

/** The metrics of a query's rows. */
async function familiesOf(
  { db }: Pick<Ctx, "db">,
  { rows: query, labels, metrics }: MetricSource,
): Promise<Family[]> {
  const { rows } = await db.execute<Record<string, unknown>>(query);
  const labelled = rows.map((row) => ({
    row,
    labels: Object.fromEntries(labels.map((label) => [label, String(row[label])])),
  }));
  return Object.entries(metrics).map(([name, [column, type, help]]) => ({
    name: prefix + name,
    help,
    type,
    values: labelled
      .filter(({ row }) => row[column] !== null)
      .map(({ row, labels: of }) => ({ labels: of, value: Number(row[column]) })),
  }));
}

async function waitsFamily(ctx: Pick<Ctx, "db">): Promise<Family> {
  const { classes, seconds } = await readWaits(ctx);
  const name = `${prefix}dispatch_latency_seconds`;
  const buckets = classes.map(({ bound, tasks }) => ({
    metricName: `${name}_bucket`,
    labels: { le: bound === Number.POSITIVE_INFINITY ? "+Inf" : bound },
    value: tasks,
  }));
  return {
    name,
    help: "Time that tasks waited, queued to leased; counted when their first attempt has ended",
    type: "histogram",
    values: [
      ...buckets,
      { metricName: `${name}_sum`, labels: {}, value: seconds },
      { metricName: `${name}_count`, labels: {}, value: classes.at(-1)!.tasks },
    ],
  };
}

const buildFamily: Family = {
  name: `${prefix}build_info`,
  help: "Version of the control plane",
  type: "gauge",
  values: [{ labels: { version }, value: 1 }],
};

/** The fleet's metrics in the text format of Prometheus: from the database, so any replica says the same. */
async function metricsText(ctx: Ctx): Promise<{ text: string; contentType: string }> {
  const families: Family[] = [buildFamily, await waitsFamily(ctx)];
  for (const source of metricSources(ctx)) families.push(...(await familiesOf(ctx, source)));
  const registry = new Registry();
  // prom-client's own metrics count what this process sees, and take twice the time: it only writes these.
  for (const family of families) {
    const metric = { name: family.name, get: async () => family };
    registry.registerMetric(metric as unknown as Metric);
  }
  return { text: await registry.metrics(), contentType: registry.contentType };
}

/** For Prometheus. */
export const metricsOperations: Operation[] = [
  raw(
    {
      id: "getMetrics",
      method: "GET",
      path: "/metrics",
      tag: "metrics",
      access: "metrics",
      summary:
        "The fleet's metrics in the text format of Prometheus; without credentials where the setting openMetrics says so",
      answer: "text/plain; version=0.0.4; charset=utf-8",
    },
    async (ctx, c) => {
      const { text, contentType } = await metricsText(ctx);
      return c.body(text, 200, { "content-type": contentType, "cache-control": "no-store" });
    },
  ),
];
