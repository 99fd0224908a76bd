import { sql } from "drizzle-orm";
import { Hono } from "hono";
import { AppError } from "../../protocol/errors.ts";
import type { Ctx } from "../context.ts";

/** Liveness, readiness and the public task keys: no credentials needed. */
export function healthRoutes(ctx: Ctx): Hono {
  return new Hono()
    .get("/healthz", (c) => c.json({ status: "ok", time: new Date().toISOString() }))
    .get("/readyz", async (c) => {
      await ctx.db.execute(sql`select 1 from fleet`).catch((cause: unknown) => {
        throw new AppError("unavailable", "the database does not answer", { cause });
      });
      return c.json({ status: "ready" });
    })
    .get("/.well-known/jwks.json", (c) => c.json(ctx.secrets.jwks));
}
