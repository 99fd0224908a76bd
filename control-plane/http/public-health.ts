import { z } from "zod";
import { AppError } from "../../protocol/errors.ts";
import { readPublicReplica } from "../db/queries/public-replicas.ts";
import { type Operation, read } from "./operation.ts";
import { replicaParams } from "./params.ts";

const healthSchema = z.object({
  freshAt: z.iso.datetime().meta({ description: "When it was last known to equal its source" }),
  ageSeconds: z.int(),
  withinSeconds: z.int().meta({ description: "Age up to which it is fresh" }),
});

/** For load balancers, without credentials: of projects that are public. */
export const publicHealthOperations: Operation[] = [
  read(
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
    async (ctx, { params }) => {
      const { project, host } = params;
      const found = await readPublicReplica(ctx, params);
      if (!found) throw new AppError("not-found", "there is no such public project");
      const { carried, freshAt, ageSeconds, withinSeconds, stale } = found;
      if (!carried) throw new AppError("unavailable", `${host} does not carry ${project}`);
      if (freshAt === null)
        throw new AppError("unavailable", `${host} has never had the whole of ${project}`);
      if (stale)
        throw new AppError(
          "unavailable",
          `${project} on ${host} was last fresh ${ageSeconds} seconds ago, which may be ${withinSeconds}`,
        );
      return { freshAt: freshAt.toISOString(), ageSeconds, withinSeconds };
    },
  ),
];
