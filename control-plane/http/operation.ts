import type { Context } from "hono";
import type { z } from "zod";
import type { ErrorCode } from "../../protocol/errors.ts";
import type { OperatorScope } from "../../protocol/token.ts";
import type { Actor } from "../auth/actor.ts";
import type { Ctx } from "../context.ts";

/**
 * Who may call: anyone, an operator token of a scope (`trigger`: also one for the project in the path), an
 * agent, a task token; `metrics`: a viewer, or anyone where the fleet's settings say so.
 */
type Access = "public" | "metrics" | OperatorScope | "trigger" | "agent" | "task";

/** All there is to say of one operation: the router, the guards and the OpenAPI document follow it. */
export type Declaration<
  Params extends z.ZodType = z.ZodType,
  Query extends z.ZodType = z.ZodType,
  Body extends z.ZodType = z.ZodType,
  Answer extends z.ZodType = z.ZodType,
> = {
  /** Unique; also the action of its audit events. */
  id: string;
  method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  /** With parameters in braces: `/v1/projects/{name}`. */
  path: string;
  tag: string;
  access: Access;
  summary: string;
  params?: Params;
  query?: Query;
  body?: Body;
  /** Content type of a body that is not JSON, and which the operation reads itself. */
  rawBody?: string;
  /** The body may also be YAML. */
  yaml?: boolean;
  /** Body of the answer; a string is the content type of one that is not JSON. */
  answer: Answer | string;
  /** Status of success, 200 unless given. */
  status?: 200 | 201;
  /** Errors of its own, beside those that all have. */
  errors?: ErrorCode[];
  /** A body that works, for people to start from. */
  example?: unknown;
  /** Answers with an ETag, and minds `If-Match`. */
  versioned?: boolean;
  /** Answers bytes, and minds `Range`. */
  ranged?: boolean;
};

type Input<Params extends z.ZodType, Query extends z.ZodType, Body extends z.ZodType> = {
  params: z.output<Params>;
  query: z.output<Query>;
  body: z.output<Body>;
  actor: Actor;
  /** Version that the client has seen, from `If-Match`; null: it does not say. */
  ifMatch: number | null;
};

/** What a change answers, and what its audit event says. */
export type Changed<Answer> = {
  /** A promise where all that it is read by has been sent: the commit goes out behind that. */
  answer: Answer | Promise<Answer>;
  location?: string;
  before?: unknown;
  after?: unknown;
  /** In place of one event on the request's own path: one for each thing that changed; none for a dry run. */
  events?: { target: string; before: unknown; after: unknown }[];
};

/** A declaration with what it does. */
export type Operation = { declaration: Declaration } & (
  | { kind: "read"; handle: (ctx: Ctx, input: any) => Promise<unknown> }
  | {
      kind: "change";
      handle: (ctx: Ctx, input: any) => Promise<Changed<unknown>>;
      /** After the commit, also of a request that was sent again: what it answers replaces the answer. */
      finish?: ((ctx: Ctx, input: any) => Promise<unknown>) | undefined;
    }
  | { kind: "raw"; handle: (ctx: Ctx, c: Context<any>, input: any) => Promise<Response> }
);

type AnswerOf<Answer extends z.ZodType> = z.input<Answer>;

/** An operation that changes nothing. */
export function read<
  Params extends z.ZodType,
  Query extends z.ZodType,
  Body extends z.ZodType,
  Answer extends z.ZodType,
>(
  declaration: Declaration<Params, Query, Body, Answer>,
  handle: (ctx: Ctx, input: Input<Params, Query, Body>) => Promise<AnswerOf<Answer>>,
): Operation {
  return { declaration, kind: "read", handle };
}

/** An operation that changes something: in one transaction with its audit event and its kept answer. */
export function change<
  Params extends z.ZodType,
  Query extends z.ZodType,
  Body extends z.ZodType,
  Answer extends z.ZodType,
>(
  declaration: Declaration<Params, Query, Body, Answer>,
  handle: (ctx: Ctx, input: Input<Params, Query, Body>) => Promise<Changed<AnswerOf<Answer>>>,
  finish?: (
    ctx: Ctx,
    input: { query: z.output<Query>; answer: AnswerOf<Answer>; signal: AbortSignal },
  ) => Promise<AnswerOf<Answer>>,
): Operation {
  return { declaration, kind: "change", handle, finish };
}

/** An operation that makes its own response. */
export function raw<
  Params extends z.ZodType,
  Query extends z.ZodType,
  Body extends z.ZodType,
  Answer extends z.ZodType,
>(
  declaration: Declaration<Params, Query, Body, Answer>,
  handle: (ctx: Ctx, c: Context<any>, input: Input<Params, Query, Body>) => Promise<Response>,
): Operation {
  return { declaration, kind: "raw", handle };
}
