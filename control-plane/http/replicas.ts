import { pageOf } from "../../protocol/paging.ts";
import { replicaMoveSchema, replicaSchema, replicasQuerySchema } from "../../protocol/project.ts";
import { runDetailSchema } from "../../protocol/run.ts";
import { readReplica, readReplicaPage } from "../db/queries/replicas.ts";
import { readRun } from "../db/queries/runs.ts";
import { resyncReplica } from "../dispatch/resync.ts";
import { moveReplica } from "../fleet/move-replica.ts";
import { pauseReplica } from "../fleet/pauses.ts";
import { change, type Operation, read } from "./operation.ts";
import { replicaParams } from "./params.ts";

const tag = "replicas";
const one = { path: "/v1/projects/{project}/replicas/{host}", tag, params: replicaParams };

const pause = (id: string, paused: boolean): Operation =>
  change(
    {
      ...one,
      id,
      method: "POST",
      path: `${one.path}/${paused ? "pause" : "resume"}`,
      access: "operator",
      summary: paused
        ? "Stop one host's share of a project; what runs goes on"
        : "Let a paused replica go on; it catches up",
      answer: replicaSchema,
      errors: ["not-found"],
    },
    async (ctx, { params }) => {
      const { before, after } = await pauseReplica(ctx, { ...params, paused });
      return { answer: after, before, after };
    },
  );

/** Replicas: which host carries which project, and how fresh. */
export const replicaOperations: Operation[] = [
  read(
    {
      id: "listReplicas",
      method: "GET",
      path: "/v1/replicas",
      tag,
      access: "viewer",
      summary: "List replicas by project and host",
      query: replicasQuerySchema,
      answer: pageOf(replicaSchema),
    },
    (ctx, { query }) => readReplicaPage(ctx, query),
  ),
  read(
    {
      ...one,
      id: "getReplica",
      method: "GET",
      access: "viewer",
      summary: "Read one replica",
      answer: replicaSchema,
      errors: ["not-found"],
    },
    async (ctx, { params }) => (await readReplica(ctx, params)).view,
  ),
  pause("pauseReplica", true),
  pause("resumeReplica", false),
  change(
    {
      ...one,
      id: "moveReplica",
      method: "POST",
      path: `${one.path}/move`,
      access: "admin",
      summary:
        "Move a replica to another mirror root of its host: it is pulled anew, and the old tree stays until somebody removes it. Answers the run; null where there is nothing to pull yet",
      body: replicaMoveSchema,
      answer: runDetailSchema.nullable(),
      errors: ["not-found", "conflict"],
      example: { root: "/srv/disk2/mirror" },
    },
    async (ctx, { params, body }) => {
      const { view: before } = await readReplica(ctx, params);
      const id = await moveReplica(ctx, { ...params, ...body });
      const { view: after } = await readReplica(ctx, params);
      return { answer: id === null ? null : await readRun(ctx, { id }), before, after };
    },
  ),
  change(
    {
      ...one,
      id: "resyncReplica",
      method: "POST",
      path: `${one.path}/resync`,
      access: "operator",
      summary: "Pull a replica again, whatever its generation",
      answer: runDetailSchema,
      status: 201,
      errors: ["not-found", "conflict"],
    },
    async (ctx, { params }) => {
      const { row } = await readReplica(ctx, params);
      const { hostId, role } = row.replica;
      const id = await resyncReplica(ctx, { project: params.project, hostId, role });
      const run = await readRun(ctx, { id });
      return { answer: run, location: `/v1/runs/${id}`, after: { run: id } };
    },
  ),
];
