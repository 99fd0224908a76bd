import { z } from "zod";

/** Every error code of the product and the HTTP status it travels with. */
export const statusByCode = {
  "invalid-input": 422,
  "malformed-body": 400,
  "body-too-large": 413,
  "not-authenticated": 401,
  "clock-skew": 401,
  "agent-revoked": 401,
  "host-quarantined": 409,
  forbidden: 403,
  "enrolment-token-invalid": 401,
  "not-found": 404,
  "precondition-failed": 412,
  "method-not-allowed": 405,
  "range-not-satisfiable": 416,
  conflict: 409,
  "stale-attempt": 409,
  "order-refused": 409,
  "too-many-requests": 429,
  internal: 500,
  unavailable: 503,
} as const;

export type ErrorCode = keyof typeof statusByCode;

/** One field at fault: where it is, what was wrong, what would be right. */
const fieldErrorSchema = z.object({ field: z.string(), message: z.string() });
export type FieldError = z.infer<typeof fieldErrorSchema>;

/** RFC 9457 problem document, the body of every error answer. */
export const problemSchema = z.object({
  type: z.string(),
  title: z.string(),
  status: z.int(),
  code: z.enum(Object.keys(statusByCode) as [ErrorCode, ...ErrorCode[]]),
  detail: z.string(),
  errors: z.array(fieldErrorSchema).optional(),
  /** Server's clock, ISO 8601; only with `clock-skew`. */
  serverTime: z.string().optional(),
});
export type Problem = z.infer<typeof problemSchema>;

/** The only error that mirrorfleet throws on purpose. `message` is meant for the user. */
export class AppError extends Error {
  readonly code: ErrorCode;
  readonly fields: FieldError[];

  constructor(
    code: ErrorCode,
    message: string,
    options: { cause?: unknown; fields?: FieldError[] } = {},
  ) {
    super(message, "cause" in options ? { cause: options.cause } : undefined);
    this.name = "AppError";
    this.code = code;
    this.fields = options.fields ?? [];
  }
}

/** Levenshtein distance of two words. */
function distance(left: string, right: string): number {
  let row = Array.from({ length: right.length + 1 }, (_, index) => index);
  for (const [i, letter] of left.split("").entries()) {
    const next = [i + 1];
    for (const [j, other] of right.split("").entries())
      next.push(Math.min(row[j + 1]! + 1, next[j]! + 1, row[j]! + (letter === other ? 0 : 1)));
    row = next;
  }
  return row[right.length]!;
}

/** What to say of an unknown field: the known one that is nearest, if one is near. */
function unknownField(key: string, known: string[]): string {
  const [nearest] = known
    .map((name) => ({ name, far: distance(key.toLowerCase(), name.toLowerCase()) }))
    .toSorted((left, right) => left.far - right.far);
  return nearest && nearest.far <= Math.max(2, key.length / 3)
    ? `is not a known field: did you mean "${nearest.name}"?`
    : "is not a known field";
}

/** Lists the unknown fields' messages, one a line, for `fieldErrors` to take apart. */
const describeUnknown: z.core.$ZodErrorMap = (issue) => {
  if (issue.code !== "unrecognized_keys") return undefined;
  const shape = (issue.inst as z.ZodObject | undefined)?.shape ?? {};
  return issue.keys.map((key) => unknownField(key, Object.keys(shape))).join("\n");
};

/** Turns zod's issues into field errors. */
export function fieldErrors(error: z.ZodError): FieldError[] {
  return error.issues.flatMap((issue) => {
    const path = issue.path.join(".");
    if (issue.code === "unrecognized_keys") {
      const messages = issue.message.split("\n");
      return issue.keys.map((key, index) => ({
        field: path ? `${path}.${key}` : key,
        message: messages[index] ?? "is not a known field",
      }));
    }
    return [{ field: path || "(body)", message: issue.message }];
  });
}

/**
 * Parses untrusted input.
 * @throws AppError `invalid-input` that names each field at fault, an unknown one with the nearest known.
 */
export function parse<Schema extends z.ZodType>(
  schema: Schema,
  input: unknown,
  what = "input",
): z.output<Schema> {
  const result = schema.safeParse(input, { error: describeUnknown });
  if (result.success) return result.data;
  const fields = fieldErrors(result.error);
  const text = fields.map(({ field, message }) => `${field}: ${message}`).join("; ");
  throw new AppError("invalid-input", `${what} is not valid: ${text}`.slice(0, 4000), {
    fields: fields.slice(0, 100),
  });
}
