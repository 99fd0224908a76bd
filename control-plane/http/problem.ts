import type { Context } from "hono";
import { type ErrorCode, type Problem, statusByCode } from "../../protocol/errors.ts";
import { toAppError } from "../app-error.ts";
import type { Ctx } from "../context.ts";

const title = (code: ErrorCode) => code.replaceAll("-", " ");

/** Answers an error as an RFC 9457 problem document; what is internal goes to the log only. */
export function problemAnswer(
  { log }: Pick<Ctx, "log">,
  c: Context,
  { error }: { error: unknown },
): Response {
  const { code, message, fields, cause } = toAppError(error);
  const status = statusByCode[code];
  // Without a cause, "unavailable" is what was asked for: that a copy is not fresh, that nothing can be had yet.
  if (status >= 500 && (code !== "unavailable" || cause !== undefined))
    log.error({ err: cause ?? error, method: c.req.method, path: c.req.path }, message);
  else log.debug({ code, method: c.req.method, path: c.req.path }, message);
  const problem: Problem = {
    type: `urn:mirrorfleet:${code}`,
    title: title(code),
    status,
    code,
    detail: code === "internal" ? "internal error" : message,
    ...(fields.length > 0 && { errors: fields }),
    ...(code === "clock-skew" && { serverTime: new Date().toISOString() }),
  };
  return c.body(JSON.stringify(problem), status, {
    "content-type": "application/problem+json",
    ...(code === "unavailable" && { "retry-after": "1" }),
    ...(status === 401 && { "www-authenticate": 'Bearer realm="mirrorfleet"' }),
  });
}
