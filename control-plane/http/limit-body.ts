import type { MiddlewareHandler } from "hono";
import { bodyLimit } from "hono/body-limit";
import { AppError } from "../../protocol/errors.ts";
import { maxBodyBytes } from "../../protocol/report.ts";

const refuse = (): never => {
  throw new AppError("body-too-large", `the body is larger than ${maxBodyBytes} bytes`);
};

const limitUnstated = bodyLimit({ maxSize: maxBodyBytes, onError: refuse });

/**
 * Refuses bodies that are too large. Hono's own limit asks each request for its body as a stream, for which the
 * server makes a whole web Request, of some 10 kB; where the length is stated, as nearly always, that is not needed.
 */
export const limitBody: MiddlewareHandler = async (c, next) => {
  if (c.req.method === "GET" || c.req.method === "HEAD") return next();
  const stated = c.req.header("content-length");
  if (stated === undefined || c.req.header("transfer-encoding") !== undefined)
    return limitUnstated(c, next);
  return Number(stated) <= maxBodyBytes ? next() : refuse();
};
