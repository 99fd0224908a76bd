import type { MiddlewareHandler } from "hono";
import { RateLimiterMemory } from "rate-limiter-flexible";
import { AppError } from "../../protocol/errors.ts";
import { networkOf } from "../../protocol/network.ts";
import { clientAddress } from "./guards.ts";

/** Failed authentications that one address, or one IPv6 network, has in a minute, on one replica. */
const failures = 30;
const seconds = 60;

const isFailure = (error: unknown) =>
  error instanceof AppError &&
  (error.code === "not-authenticated" || error.code === "enrolment-token-invalid");

/**
 * Answers 429 instead of 401 to an address that fails too often. Good credentials pass all the same:
 * hosts behind one address must not be locked out by one of them.
 */
export function failureLimit(): MiddlewareHandler {
  const limiter = new RateLimiterMemory({ points: failures, duration: seconds });
  return async (c, next) => {
    await next();
    if (!isFailure(c.error)) return;
    const address = clientAddress(c);
    // Where there is no socket to see, on a serverless platform, the platform limits.
    if (address === "") return;
    const { consumedPoints, msBeforeNext } = await limiter.penalty(networkOf(address));
    if (consumedPoints <= failures) return;
    const wait = Math.ceil(msBeforeNext / 1000);
    const detail = `too many failed authentications from this address: try again in ${wait} seconds`;
    if (c.req.path.startsWith("/sign-in")) {
      c.res = new Response(`${detail}\n`, {
        status: 429,
        headers: { "content-type": "text/plain; charset=utf-8", "retry-after": String(wait) },
      });
      return;
    }
    c.res = new Response(
      JSON.stringify({
        type: "urn:mirrorfleet:too-many-requests",
        title: "too many requests",
        status: 429,
        code: "too-many-requests",
        detail,
      }),
      {
        status: 429,
        headers: { "content-type": "application/problem+json", "retry-after": String(wait) },
      },
    );
  };
}
