import { z } from "zod";
import { projectCreateSchema } from "./project.ts";
import { queryFlag } from "./paging.ts";

/** A description of the fleet's projects, as a file holds it. */
export const fleetFileSchema = z.strictObject({
  projects: z
    .array(projectCreateSchema)
    .max(5000, "must hold at most 5000 projects")
    .refine(
      (projects) => new Set(projects.map(({ name }) => name)).size === projects.length,
      "must not name a project twice",
    ),
});

/** Query of `PUT /v1/fleet`. */
export const fleetQuerySchema = z.strictObject({
  dryRun: queryFlag.optional().meta({ description: "1: only say what would change" }),
  prune: queryFlag
    .optional()
    .meta({ description: "1: remove the projects that the file does not name (their files stay)" }),
});

const changeSchema = z.object({
  action: z.enum(["create", "update", "remove", "keep"]),
  project: z.string(),
  changes: z.array(z.object({ field: z.string(), from: z.unknown(), to: z.unknown() })),
});
export type PlannedChange = z.infer<typeof changeSchema>;

/** Answer of `PUT /v1/fleet`: what changes, or has changed. */
export const fleetPlanSchema = z.object({
  applied: z.boolean(),
  summary: z.object({ create: z.int(), update: z.int(), remove: z.int(), keep: z.int() }),
  plan: z.array(changeSchema).meta({ description: "Without the projects that stay as they are" }),
});
export type FleetPlan = z.infer<typeof fleetPlanSchema>;
