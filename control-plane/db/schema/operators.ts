import { index, integer, jsonb, pgTable, primaryKey, text } from "drizzle-orm/pg-core";
import type { TokenScope } from "../../../protocol/token.ts";
import { bytea, createdAt, id, time } from "./columns.ts";

export const operatorTokens = pgTable("operator_tokens", {
  id: id(),
  name: text("name").notNull(),
  scope: text("scope").$type<TokenScope>().notNull(),
  /** SHA-256 of the token, which is random and long: no salt needed. */
  hash: bytea("hash").notNull().unique(),
  createdAt: createdAt(),
  expiresAt: time("expires_at"),
  /** To the minute. */
  lastUsedAt: time("last_used_at"),
  revokedAt: time("revoked_at"),
});

/** Every change that an operator made, without secrets. */
export const auditEvents = pgTable(
  "audit_events",
  {
    id: id(),
    at: time("at").notNull(),
    actor: text("actor").notNull(),
    action: text("action").notNull(),
    target: text("target").notNull(),
    before: jsonb("before").$type<unknown>(),
    after: jsonb("after").$type<unknown>(),
  },
  (table) => [index("audit_events_latest").on(table.at)],
);

/** Answers to requests with an Idempotency-Key, written in the transaction of what they did. */
export const idempotentAnswers = pgTable(
  "idempotent_answers",
  {
    actor: text("actor").notNull(),
    key: text("key").notNull(),
    /** SHA-256 of method, path and body. */
    request: bytea("request").notNull(),
    status: integer("status").notNull().default(0),
    body: text("body").notNull().default(""),
    createdAt: createdAt(),
  },
  (table) => [
    primaryKey({ columns: [table.actor, table.key] }),
    index("idempotent_answers_oldest").on(table.createdAt),
  ],
);
