import { Hono, type MiddlewareHandler } from "hono";
import { secureHeaders } from "hono/secure-headers";
import { AppError } from "../../protocol/errors.ts";
import type { Ctx } from "../context.ts";
import { dashboardRoutes } from "../dashboard/routes.ts";
import { docsRoutes } from "./docs.ts";
import { failureLimit } from "./failure-limit.ts";
import { holdPolls, type PollEnv } from "./held-polls.ts";
import { limitBody } from "./limit-body.ts";
import { operations } from "./operations.ts";
import { problemAnswer } from "./problem.ts";
import { speaksProtocol } from "./protocol-number.ts";
import { register } from "./register.ts";

/** An application with the headers and the errors that all answers have. */
function newApp(ctx: Ctx): Hono {
  const app = new Hono();
  // With "no-referrer" browsers would say "null" as the origin of our own forms.
  app.use(secureHeaders({ referrerPolicy: "same-origin" }));
  app.use("/v1/*", forNobodyElse);
  app.use("/v1/*", speaksProtocol);
  app.onError((error, c) => problemAnswer(ctx, c, { error }));
  return app;
}

/** What answers a poll that was held. */
function heldAnswers(ctx: Ctx): Hono {
  const app = newApp(ctx);
  app.post("*", async (c) => c.json(await (c.env as PollEnv).held!.answer()));
  return app;
}

/** The whole HTTP interface. Holds nothing that another replica needs: any request may go to any replica. */
export function createApp(ctx: Ctx): Hono {
  const app = newApp(ctx);
  app.use(failureLimit());
  app.use(limitBody);
  app.notFound((c) => {
    const methods = methodsAt(c.req.path);
    if (methods.length > 0) c.header("allow", methods.join(", "));
    return problemAnswer(ctx, c, { error: unknownRoute(c.req, methods) });
  });
  register(ctx, { app, operations });
  app.route("/", docsRoutes());
  app.route("/", dashboardRoutes(ctx, { fetch: (request) => app.fetch(request) }));
  app.fetch = holdPolls({ app: app.fetch, answers: heldAnswers(ctx).fetch });
  return app;
}

/** Answers may hold tokens and are data, never pages: no cache keeps them, unless they say so; no browser shows what is in them. */
const forNobodyElse: MiddlewareHandler = async (c, next) => {
  await next();
  if (!c.res.headers.has("cache-control")) c.header("cache-control", "no-store");
  c.header("content-security-policy", "default-src 'none'; frame-ancestors 'none'");
};

const methodsAt = (path: string) =>
  operations
    .map(({ declaration }) => declaration)
    .filter((declaration) =>
      new RegExp(`^${declaration.path.replaceAll(/\{\w+\}/g, "[^/]+")}$`).test(path),
    )
    .map((declaration) => declaration.method);

function unknownRoute(
  { method, path }: { method: string; path: string },
  methods: string[],
): AppError {
  return methods.length > 0
    ? new AppError("method-not-allowed", `${path} takes ${methods.join(", ")}, not ${method}`)
    : new AppError("not-found", `there is no ${method} ${path}`);
}
