import { z } from "zod";

/** Every error code of the product and the HTTP status it travels with. */
export const statusByCode = {
  "invalid-input": 422,
  "malformed-body": 400,
  "body-too-large": 413,
  "not-authenticated": 401,
  "clock-skew": 401,
  "agent-revoked": 401,
  forbidden: 403,
  "enrolment-token-invalid": 401,
  "not-found": 404,
  "method-not-allowed": 405,
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

/** Turns zod's issues into field errors; `prefix` names the document they were found in. */
export function fieldErrors(error: z.ZodError, prefix = ""): FieldError[] {
  return error.issues.flatMap((issue) => {
    const path = [...(prefix ? [prefix] : []), ...issue.path].join(".");
    if (issue.code === "unrecognized_keys") {
      return issue.keys.map((key) => ({
        field: path ? `${path}.${key}` : key,
        message: "is not a known field",
      }));
    }
    return [{ field: path || "(body)", message: issue.message }];
  });
}

/**
 * Parses untrusted input.
 * @throws AppError `invalid-input` that names each field at fault.
 */
export function parse<Schema extends z.ZodType>(
  schema: Schema,
  input: unknown,
  what = "input",
): z.output<Schema> {
  const result = schema.safeParse(input);
  if (result.success) return result.data;
  const fields = fieldErrors(result.error);
  const text = fields.map(({ field, message }) => `${field}: ${message}`).join("; ");
  throw new AppError("invalid-input", `${what} is not valid: ${text}`, { fields });
}
