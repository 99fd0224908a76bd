import type { Context, Hono } from "hono";
import { AppError, parse } from "../../protocol/errors.ts";
import type { Actor } from "../auth/actor.ts";
import type { Ctx } from "../context.ts";
import { insertAuditEvent } from "../db/queries/audit-events.ts";
import { parseBody, refuseUnstorable } from "./body.ts";
import { guardOf } from "./guards.ts";
import { answerOnce } from "./idempotency.ts";
import { asKnownHere } from "./protocol-number.ts";
import type { Changed, Declaration, Operation } from "./operation.ts";

function ifMatchOf(c: Context): number | null {
  const text = c.req.header("if-match");
  if (text === undefined || text === "*") return null;
  const version = /^(?:W\/)?"(\d{1,9})"$/.exec(text)?.[1];
  if (version === undefined)
    throw new AppError(
      "precondition-failed",
      'If-Match must be the ETag of an answer: for example "3" in double quotes',
    );
  return Number(version);
}

/** A name or id that cannot exist is one that does not. */
function checkedParams({ params, path }: Declaration, c: Context): unknown {
  const checked = params?.safeParse(c.req.param());
  if (checked && !checked.success)
    throw new AppError(
      "not-found",
      `there is nothing at ${c.req.path}: see ${path}${path.includes("{id}") ? "; an id is a whole UUID, as lists show it" : ""}`,
    );
  return checked?.data;
}

/** Query parameters that are not declared are errors too: a misspelt filter must not answer everything. */
function checkedQuery({ query }: Declaration, c: Context): unknown {
  const given = c.req.query();
  refuseUnstorable(given);
  if (query !== undefined) return parse(query, given, "the query");
  const [unknown] = Object.keys(given);
  if (unknown !== undefined)
    throw new AppError("invalid-input", `${unknown} is not a query parameter of this operation`, {
      fields: [{ field: unknown, message: "is not a known query parameter" }],
    });
  return undefined;
}

async function inputOf(declaration: Declaration, c: Context) {
  const { body: schema, yaml = false, access } = declaration;
  const isAgents = access === "agent" || access === "task";
  const read = async (expected: NonNullable<typeof schema>) => {
    const body = await parseBody(c, { yaml });
    const known = isAgents ? asKnownHere(c, { schema: expected, body }) : body;
    return parse(expected, known, "the body");
  };
  return {
    params: checkedParams(declaration, c),
    query: checkedQuery(declaration, c),
    body: schema === undefined ? undefined : await read(schema),
    actor: c.get("actor") as Actor,
    ifMatch: declaration.versioned ? ifMatchOf(c) : null,
  };
}

function jsonAnswer({
  declaration,
  answer,
  location,
}: {
  declaration: Declaration;
  answer: unknown;
  location?: string | undefined;
}) {
  const version = (answer as { version?: unknown } | null)?.version;
  return {
    status: declaration.status ?? 200,
    text: JSON.stringify(answer),
    headers: {
      "content-type": "application/json",
      ...(location !== undefined && { location }),
      ...(declaration.versioned && typeof version === "number" && { etag: `"${version}"` }),
    },
  };
}

type ChangeOperation = Extract<Operation, { kind: "change" }>;

/** Sends all audit events of a change before it waits for anything. */
async function audit(
  ctx: Ctx,
  {
    actor,
    id,
    path,
    changed,
  }: { actor: Actor; id: string; path: string; changed: Omit<Changed<unknown>, "answer"> },
): Promise<void> {
  const { before = null, after = null } = changed;
  const events = changed.events ?? [{ target: path, before, after }];
  await Promise.all(
    events.map((event) => insertAuditEvent(ctx, { actor: actor.name, action: id, ...event })),
  );
}

/** Runs a change, its audit events and its kept answer in one transaction. */
async function runChange(ctx: Ctx, c: Context, { declaration, handle, finish }: ChangeOperation) {
  const input = await inputOf(declaration, c);
  const { actor, query } = input;
  const done = await answerOnce(ctx, c, { actor }, async (inner) => {
    const { answer, location, ...changed } = await handle(inner, input);
    const audited = audit(inner, { actor, id: declaration.id, path: c.req.path, changed });
    const answering = (async () => {
      const [read] = await Promise.all([answer, audited]);
      return jsonAnswer({ declaration, answer: read, location });
    })();
    // Whoever awaits it hears of that; the commit that goes out behind it has no effect then.
    answering.catch(() => undefined);
    return { answering };
  });
  if (!finish) return done;
  const { signal } = c.req.raw;
  const answer = await finish(ctx, { query, answer: JSON.parse(done.text), signal });
  return { ...done, text: JSON.stringify(answer) };
}

/** Puts operations into the router, each behind the guard that its declaration names. */
export function register(
  ctx: Ctx,
  { app, operations }: { app: Hono; operations: Operation[] },
): void {
  for (const operation of operations) {
    const { declaration } = operation;
    const path = declaration.path.replaceAll(/\{(\w+)\}/g, ":$1");
    app.on(declaration.method, path, guardOf(ctx, declaration), async (c: Context) => {
      if (operation.kind === "raw") return operation.handle(ctx, c, await inputOf(declaration, c));
      const { status, text, headers } =
        operation.kind === "read"
          ? jsonAnswer({
              declaration,
              answer: await operation.handle(ctx, await inputOf(declaration, c)),
            })
          : await runChange(ctx, c, operation);
      return c.body(text, status as 200, headers);
    });
  }
}
