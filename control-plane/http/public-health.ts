import { z } from "zod";
import { AppError } from "../../protocol/errors.ts";
import { readPublicReplicas, replicaKey } from "../db/queries/public-replicas.ts";
import { type Operation, raw } from "./operation.ts";
import { replicaParams } from "./params.ts";

const healthSchema = z.object({
  freshAt: z.iso.datetime().meta({ description: "When it was last known to equal its source" }),
  ageSeconds: z.int(),
  withinSeconds: z.int().meta({ description: "Age up to which it is fresh" }),
});

/** As long a cache may keep that a copy is fresh; what is not is never kept. */
const freshSeconds = 5;

/** For load balancers, without credentials: of projects that are public. */
export const publicHealthOperations: Operation[] = [
  raw(
    {
      id: "getPublicHealth",
      method: "GET",
      path: "/v1/public/hosts/{host}/projects/{project}/health",
      tag: "public",
      access: "public",
      summary:
        "Is a host's copy of a public project fresh enough to be served? 503 where it is not, or the host does not carry it",
      params: replicaParams,
      answer: healthSchema,
      errors: ["not-found", "unavailable"],
    },
    async (ctx, c, { params }) => {
      const { project, host } = params;
      const known = await ctx.share("health", () => readPublicReplicas(ctx));
      const withinSeconds = known.targets.get(project);
      if (withinSeconds === undefined)
        throw new AppError("not-found", "there is no such public project");
      const replica = known.replicas.get(replicaKey({ project, host }));
      if (!replica) throw new AppError("unavailable", `${host} does not carry ${project}`);
      const { freshAt, ageSeconds, stale } = replica;
      if (freshAt === null)
        throw new AppError("unavailable", `${host} has never had the whole of ${project}`);
      if (stale)
        throw new AppError(
          "unavailable",
          `${project} on ${host} was last fresh ${ageSeconds} seconds ago, which may be ${withinSeconds}`,
        );
      c.header("cache-control", `public, max-age=${freshSeconds}`);
      return c.json({ freshAt: freshAt.toISOString(), ageSeconds, withinSeconds });
    },
  ),
];
