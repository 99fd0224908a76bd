import { z } from "zod";
import {
  type ErrorCode,
  type FieldError,
  problemSchema,
  statusByCode,
} from "../../protocol/errors.ts";
import type { Declaration, Operation } from "./operation.ts";

type Schema = Record<string, unknown>;

/** JSON Schema 2020-12, which OpenAPI 3.1 uses as it is. */
function jsonSchema(schema: z.ZodType, io: "input" | "output"): Schema {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io, unrepresentable: "any" });
  return rest;
}

const methodsWithKey = new Set(["POST", "PUT", "PATCH", "DELETE"]);

const ifMatch = {
  name: "If-Match",
  in: "header",
  description: "ETag that the client has seen: refused when it has changed since",
  schema: { type: "string" },
  example: '"3"',
};
const range = {
  name: "Range",
  in: "header",
  description:
    "Part of it in bytes (RFC 9110); of several parts, and where it is followed, all is sent",
  schema: { type: "string" },
  example: "bytes=-4096",
};
const idempotencyKey = {
  name: "Idempotency-Key",
  in: "header",
  description: "The same request with the same key within a day gets the first answer",
  schema: { type: "string", maxLength: 200 },
};

function parametersOf({ declaration, kind }: Operation) {
  const fields = (of: z.ZodType | undefined, place: "path" | "query") => {
    const { properties = {}, required = [] } = (of ? jsonSchema(of, "input") : {}) as {
      properties?: Record<string, Schema>;
      required?: string[];
    };
    return Object.entries(properties).map(([name, { description, ...schema }]) =>
      Object.assign(
        { name, in: place, required: required.includes(name), schema },
        description === undefined ? {} : { description },
      ),
    );
  };
  const changes = methodsWithKey.has(declaration.method);
  return [
    ...fields(declaration.params, "path"),
    ...fields(declaration.query, "query"),
    ...(declaration.versioned && ["PUT", "PATCH", "DELETE"].includes(declaration.method)
      ? [ifMatch]
      : []),
    ...(declaration.ranged ? [range] : []),
    ...(kind === "change" && changes ? [idempotencyKey] : []),
  ];
}

const credentialOf: Record<Declaration["access"], string | null> = {
  public: null,
  metrics: "operatorToken",
  viewer: "operatorToken",
  operator: "operatorToken",
  admin: "operatorToken",
  trigger: "operatorToken",
  agent: "agentRequest",
  task: "taskToken",
};

/** Every error that an operation may answer. */
export function errorsOf({ declaration, kind }: Operation): ErrorCode[] {
  const { access, params, body, errors = [], versioned, ranged, method } = declaration;
  const codes: ErrorCode[] = [...errors];
  // A query parameter that is not known is an error also where there are none.
  codes.push("invalid-input");
  // A task token is for one task: another is forbidden before it is looked for.
  if (params && access !== "task") codes.push("not-found");
  if (body) codes.push("malformed-body", "body-too-large");
  if (access !== "public") codes.push("not-authenticated");
  // The database may be away, or the issuer that an operator's credential comes from.
  if (access !== "public") codes.push("unavailable");
  if (credentialOf[access] === "operatorToken") codes.push("forbidden");
  if (access === "task") codes.push("forbidden");
  if (access === "agent") codes.push("clock-skew", "agent-revoked");
  if (ranged) codes.push("range-not-satisfiable");
  if (versioned && ["PUT", "PATCH", "DELETE"].includes(method)) codes.push("precondition-failed");
  // A kept answer may belong to another request.
  if (kind === "change") codes.push("conflict");
  if (access !== "public" || errors.includes("enrolment-token-invalid"))
    codes.push("too-many-requests");
  return [...new Set(codes), "internal"];
}

/** What each error says, by an example. */
const exampleOf: Record<ErrorCode, { detail: string; errors?: FieldError[] }> = {
  "invalid-input": {
    detail: 'the body is not valid: schedul: is not a known field: did you mean "schedule"?',
    errors: [{ field: "schedul", message: 'is not a known field: did you mean "schedule"?' }],
  },
  "malformed-body": { detail: "the body is not JSON: Unexpected end of JSON input" },
  "body-too-large": { detail: "the body is larger than 1048576 bytes" },
  "not-authenticated": { detail: "the operator token is unknown or revoked" },
  "clock-skew": {
    detail:
      "the clock of host ftp-nyc differs from the control plane's by more than 60 seconds: check NTP on both",
  },
  "agent-revoked": {
    detail: "host ftp-nyc was revoked; an administrator can invite it again",
  },
  "host-quarantined": {
    detail:
      "host ftp-nyc is quarantined and gets no tasks: two agents have its key and speak by turns",
  },
  forbidden: { detail: 'needs an operator token of scope "admin"; this one is "viewer"' },
  "enrolment-token-invalid": {
    detail: "the enrolment token is unknown, used or expired: an administrator can make a new one",
  },
  "not-found": { detail: "there is no such project" },
  "precondition-failed": {
    detail: "the project has changed: it is at version 4, not 3; read it again",
  },
  "method-not-allowed": { detail: "/v1/projects takes GET, POST, not DELETE" },
  "range-not-satisfiable": { detail: "there are 4096 bytes so far" },
  conflict: { detail: 'there is a project "debian" already' },
  "stale-attempt": { detail: "attempt 1 of this task holds no lease: end it" },
  "order-refused": { detail: "the agent's policy does not allow the order's source" },
  "too-many-requests": {
    detail: "too many failed authentications from this address: try again in 40 seconds",
  },
  internal: { detail: "internal error" },
  unavailable: { detail: "the OpenID Connect issuer cannot be asked" },
};

function errorAnswers(operation: Operation) {
  const byStatus = Map.groupBy(errorsOf(operation), (code) => statusByCode[code]);
  return Object.fromEntries(
    [...byStatus].map(([status, codes]) => [
      String(status),
      {
        description: codes.join(", "),
        content: {
          "application/problem+json": {
            schema: { $ref: "#/components/schemas/Problem" },
            examples: Object.fromEntries(
              codes.map((code) => [
                code,
                {
                  value: {
                    type: `urn:mirrorfleet:${code}`,
                    title: code.replaceAll("-", " "),
                    status,
                    code,
                    ...exampleOf[code],
                  },
                },
              ]),
            ),
          },
        },
      },
    ]),
  );
}

const partAnswer = (content: Record<string, unknown>) => ({
  "206": {
    description: "The part that was asked for",
    headers: {
      "Content-Range": { description: "Which part, of how many bytes", schema: { type: "string" } },
    },
    content,
  },
});

function answerOf({ answer, status = 200, versioned, ranged }: Declaration) {
  const content =
    typeof answer === "string"
      ? { [answer.split(";")[0]!]: { schema: { type: "string" } } }
      : { "application/json": { schema: jsonSchema(answer, "output") } };
  return {
    [String(status)]: {
      description: status === 201 ? "Made" : "Done",
      ...(versioned && {
        headers: { ETag: { description: "Its version", schema: { type: "string" } } },
      }),
      content,
    },
    ...(ranged && partAnswer(content)),
  };
}

const scopeText = (access: Declaration["access"]) =>
  access === "trigger"
    ? "Scope: operator, or trigger:PROJECT for this project"
    : access === "metrics"
      ? "Scope: viewer, or none where the setting openMetrics says so"
      : credentialOf[access] === "operatorToken"
        ? `Scope: ${access}`
        : undefined;

function operationObject(operation: Operation) {
  const { declaration } = operation;
  const { id, tag, summary, access, body, example, yaml, rawBody } = declaration;
  const credential = credentialOf[access];
  const schema = body && jsonSchema(body, "input");
  return {
    operationId: id,
    tags: [tag],
    summary,
    ...(scopeText(access) && { description: scopeText(access) }),
    security: credential === null ? [] : [{ [credential]: [] }],
    parameters: parametersOf(operation),
    ...(schema && {
      requestBody: {
        required: !body?.safeParse({}).success,
        content: {
          "application/json": { schema, ...(example !== undefined && { example }) },
          ...(yaml && {
            "application/yaml": { schema, ...(example !== undefined && { example }) },
          }),
        },
      },
    }),
    ...(rawBody !== undefined && {
      requestBody: {
        required: true,
        content: { [rawBody]: { schema: { type: "string", format: "binary" } } },
      },
    }),
    responses: { ...answerOf(declaration), ...errorAnswers(operation) },
  };
}

/** The OpenAPI 3.1 document of some operations. */
export function openApiDocument({
  operations,
  version,
}: {
  operations: Operation[];
  version: string;
}) {
  const paths: Record<string, Record<string, unknown>> = {};
  for (const operation of operations) {
    const { path, method } = operation.declaration;
    paths[path] = { ...paths[path], [method.toLowerCase()]: operationObject(operation) };
  }
  return {
    openapi: "3.1.0",
    info: {
      title: "mirrorfleet",
      version,
      description:
        "Keeps a fleet of public mirrors in sync. Errors are problem documents (RFC 9457) with a stable `code`.",
    },
    servers: [{ url: "/" }],
    paths,
    components: {
      securitySchemes: {
        operatorToken: {
          type: "http",
          scheme: "bearer",
          description: "Operator token (`mfo_…`), or a token of the OpenID Connect issuer",
        },
        agentRequest: {
          type: "http",
          scheme: "bearer",
          bearerFormat: "JWT",
          description: "Signed by the agent key, for this one request",
        },
        taskToken: {
          type: "http",
          scheme: "bearer",
          bearerFormat: "JWT",
          description: "Came with the task order; for that attempt alone",
        },
      },
      schemas: { Problem: jsonSchema(problemSchema, "output") },
    },
  };
}
