import { sql } from "drizzle-orm";
import { z } from "zod";
import { AppError } from "../../protocol/errors.ts";
import { pinnedKeys } from "../auth/task-keys.ts";
import { type Operation, read } from "./operation.ts";

const common = { method: "GET" as const, tag: "health", access: "public" as const };

/** Liveness, readiness and the public task keys: no credentials needed. */
export const healthOperations: Operation[] = [
  read(
    {
      ...common,
      id: "getHealth",
      path: "/healthz",
      summary: "Is the process alive?",
      answer: z.object({ status: z.literal("ok"), time: z.iso.datetime() }),
    },
    async () => ({ status: "ok" as const, time: new Date().toISOString() }),
  ),
  read(
    {
      ...common,
      id: "getReadiness",
      path: "/readyz",
      summary: "Can it serve requests: does the database answer?",
      answer: z.object({ status: z.literal("ready") }),
      errors: ["unavailable"],
    },
    async (ctx) => {
      await ctx.db.execute(sql`select 1 from fleet`).catch((cause: unknown) => {
        throw new AppError("unavailable", "the database does not answer", { cause });
      });
      return { status: "ready" as const };
    },
  ),
  read(
    {
      ...common,
      id: "getTaskKeys",
      path: "/.well-known/jwks.json",
      summary: "The public keys that sign task orders (RFC 7517)",
      answer: z.object({ keys: z.array(z.looseObject({ kid: z.string() })) }),
      errors: ["unavailable"],
    },
    (ctx) => pinnedKeys(ctx),
  ),
];
