import { Hono } from "hono";
import { projectCreateSchema, triggerSchema } from "../../protocol/project.ts";
import type { Ctx } from "../context.ts";
import { createProject, readProject, readProjects } from "../db/queries/projects.ts";
import { runView } from "../db/queries/runs.ts";
import { triggerRun } from "../dispatch/start-run.ts";
import { checkedProject } from "../schedule/checked-project.ts";
import { jsonBody } from "./body.ts";
import { operator } from "./guards.ts";

/** Projects: create, list, read, trigger. */
export function projectRoutes(ctx: Ctx): Hono {
  return new Hono()
    .post("/projects", operator(ctx, "admin"), async (c) => {
      const input = checkedProject(await jsonBody(c, projectCreateSchema));
      const project = await createProject(ctx, input);
      return c.json(project, 201, { location: `/v1/projects/${project.name}` });
    })
    .get("/projects", operator(ctx, "viewer"), async (c) =>
      c.json({ items: await readProjects(ctx) }),
    )
    .get("/projects/:name", operator(ctx, "viewer"), async (c) =>
      c.json(await readProject(ctx, { name: c.req.param("name") })),
    )
    .post("/projects/:name/runs", operator(ctx, "operator"), async (c) => {
      const { approveDeletions } = await jsonBody(c, triggerSchema);
      const project = c.req.param("name");
      const run = await triggerRun(ctx, { project, approvedDeletions: approveDeletions });
      return c.json(runView({ run, project }), 201, { location: `/v1/runs/${run.id}` });
    });
}
