import { Hono } from "hono";
import { bodyLimit } from "hono/body-limit";
import { secureHeaders } from "hono/secure-headers";
import { AppError } from "../../protocol/errors.ts";
import { maxBodyBytes } from "../../protocol/report.ts";
import type { Ctx } from "../context.ts";
import { agentRoutes } from "./agent.ts";
import { healthRoutes } from "./health.ts";
import { hostRoutes } from "./hosts.ts";
import { problemAnswer } from "./problem.ts";
import { projectRoutes } from "./projects.ts";
import { runRoutes } from "./runs.ts";
import { taskReportRoutes } from "./task-reports.ts";

/** The whole HTTP interface. Holds nothing: any request may go to any replica. */
export function createApp(ctx: Ctx): Hono {
  const app = new Hono();
  app.use(secureHeaders());
  app.use(
    bodyLimit({
      maxSize: maxBodyBytes,
      onError: () => {
        throw new AppError("body-too-large", `the body is larger than ${maxBodyBytes} bytes`);
      },
    }),
  );
  app.onError((error, c) => problemAnswer(ctx, c, { error }));
  app.notFound((c) =>
    problemAnswer(ctx, c, {
      error: new AppError("not-found", `there is no ${c.req.method} ${c.req.path}`),
    }),
  );
  app.route("/", healthRoutes(ctx));
  app.route("/v1", projectRoutes(ctx));
  app.route("/v1", runRoutes(ctx));
  app.route("/v1", hostRoutes(ctx));
  app.route("/v1", agentRoutes(ctx));
  app.route("/v1", taskReportRoutes(ctx));
  return app;
}
