import { fleetFileSchema, fleetPlanSchema, fleetQuerySchema } from "../../protocol/fleet-file.ts";
import { applyFleet } from "../fleet/apply.ts";
import { change, type Operation } from "./operation.ts";

/** The fleet as a file describes it. */
export const fleetOperations: Operation[] = [
  change(
    {
      id: "applyFleet",
      method: "PUT",
      path: "/v1/fleet",
      tag: "fleet",
      access: "admin",
      summary:
        "Make the projects what a JSON or YAML file says, all or nothing; applied again, it changes nothing",
      query: fleetQuerySchema,
      body: fleetFileSchema,
      yaml: true,
      answer: fleetPlanSchema,
      errors: ["conflict"],
      example: {
        projects: [
          {
            name: "debian",
            upstream: "rsync://ftp.debian.org/debian/",
            schedule: "17 */4 * * *",
          },
        ],
      },
    },
    async (ctx, { query, body }) => {
      const { dryRun = false, prune = false } = query;
      const { plan, changes } = await applyFleet(ctx, { file: body, dryRun, prune });
      const events = changes.map(({ name, before, after }) => ({
        target: `/v1/projects/${name}`,
        before,
        after,
      }));
      return { answer: plan, events };
    },
  ),
];
