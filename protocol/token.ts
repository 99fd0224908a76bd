import { z } from "zod";
import { instant } from "./instant.ts";
import { projectName } from "./names.ts";

/** What an operator token may do; each scope includes those before it. */
export const scopes = ["viewer", "operator", "admin"] as const;
export type OperatorScope = (typeof scopes)[number];

const triggerPrefix = "trigger:";

/** "viewer", "operator", "admin", or "trigger:PROJECT": may trigger that project and nothing else. */
const tokenScopeSchema = z.union(
  [
    z.enum(scopes),
    z
      .templateLiteral([triggerPrefix, z.string()])
      .refine((text) => projectName.safeParse(text.slice(triggerPrefix.length)).success),
  ],
  { error: 'must be "viewer", "operator", "admin" or "trigger:PROJECT"' },
);
export type TokenScope = z.infer<typeof tokenScopeSchema>;

/** The scope that may trigger a project alone. */
export const triggerScope = (project: string): TokenScope => `${triggerPrefix}${project}`;

/** The project that a scope may trigger; null where it is a scope for the whole fleet. */
export const projectOfScope = (scope: TokenScope): string | null =>
  scope.startsWith(triggerPrefix) ? scope.slice(triggerPrefix.length) : null;

/** Body of `POST /v1/tokens`. */
export const tokenCreateSchema = z.strictObject({
  name: z.string().min(1).max(100).meta({ description: "Whose it is, or what for" }),
  scope: tokenScopeSchema,
  expiresAt: instant.nullable().default(null).meta({ description: "null: does not expire" }),
});

/** An operator token, as it can be read. */
export const operatorTokenSchema = z.object({
  id: z.uuid(),
  name: z.string(),
  scope: z.string(),
  createdAt: z.iso.datetime(),
  expiresAt: z.iso.datetime().nullable(),
  lastUsedAt: z.iso.datetime().nullable(),
  revokedAt: z.iso.datetime().nullable(),
});
export type OperatorToken = z.infer<typeof operatorTokenSchema>;

export const tokenCreatedSchema = z.object({
  token: z.string().meta({ description: "Shown this once" }),
  info: operatorTokenSchema,
});
