import { z } from "zod";
import { AppError } from "../../protocol/errors.ts";
import {
  operatorTokenSchema,
  projectOfScope,
  tokenCreatedSchema,
  tokenCreateSchema,
} from "../../protocol/token.ts";
import {
  createOperatorToken,
  readOperatorTokens,
  revokeOperatorToken,
} from "../auth/operator-tokens.ts";
import { lockProject } from "../db/queries/projects.ts";
import { change, type Operation, read } from "./operation.ts";
import { idParams } from "./params.ts";

const tag = "tokens";

function expiry(text: string | null): Date | null {
  if (text === null) return null;
  const at = new Date(text);
  if (at.getTime() > Date.now()) return at;
  const message = "must lie in the future";
  throw new AppError("invalid-input", `expiresAt ${message}`, {
    fields: [{ field: "expiresAt", message }],
  });
}

/** Operator tokens. */
export const tokenOperations: Operation[] = [
  read(
    {
      id: "listTokens",
      method: "GET",
      path: "/v1/tokens",
      tag,
      access: "admin",
      summary: "List operator tokens; what makes them work cannot be read",
      answer: z.object({ items: z.array(operatorTokenSchema) }),
    },
    async (ctx) => ({ items: await readOperatorTokens(ctx) }),
  ),
  change(
    {
      id: "createToken",
      method: "POST",
      path: "/v1/tokens",
      tag,
      access: "admin",
      summary: "Make an operator token; it is shown in this answer alone",
      body: tokenCreateSchema,
      answer: tokenCreatedSchema,
      status: 201,
      errors: ["not-found"],
      example: { name: "debian's push", scope: "trigger:debian" },
    },
    async (ctx, { body }) => {
      const project = projectOfScope(body.scope);
      // Locked: removed at the same moment, it would leave a token to whoever takes its name.
      if (project !== null) await lockProject(ctx.db, { name: project });
      const created = await createOperatorToken(ctx, {
        ...body,
        expiresAt: expiry(body.expiresAt),
      });
      return { answer: created, after: created.info };
    },
  ),
  change(
    {
      id: "revokeToken",
      method: "POST",
      path: "/v1/tokens/{id}/revoke",
      tag,
      access: "admin",
      summary: "End an operator token's authority at once",
      params: idParams,
      answer: operatorTokenSchema,
      errors: ["not-found", "conflict"],
    },
    async (ctx, { params }) => {
      const { before, after } = await revokeOperatorToken(ctx, params);
      return { answer: after, before, after };
    },
  ),
];
