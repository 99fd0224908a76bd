import { createHash, randomUUID } from "node:crypto";
import { importJWK, SignJWT } from "jose";
import type { z } from "zod";
import { AppError, parse, problemSchema } from "../protocol/errors.ts";
import { signatureAlgorithm, tokenTypes } from "../protocol/order.ts";
import { protocolHeader, protocolNumber } from "../protocol/version.ts";
import type { Identity } from "./identity.ts";

/** How far the control plane's clock is ahead of this host's, in seconds. */
export type Clock = { skewSeconds: number };

const maxAnswerBytes = 4 * 1024 * 1024;

async function readAnswer(response: Response): Promise<unknown> {
  const length = Number(response.headers.get("content-length") ?? 0);
  const text = length > maxAnswerBytes ? "" : await response.text();
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch (cause) {
    throw new AppError(
      "unavailable",
      `the control plane answered ${response.status} with something that is not JSON: is a proxy in between?`,
      { cause },
    );
  }
  if (response.ok) return body;
  const problem = problemSchema.safeParse(body);
  if (!problem.success)
    throw new AppError("unavailable", `the control plane answered ${response.status}`);
  throw Object.assign(new AppError(problem.data.code, problem.data.detail), {
    serverTime: problem.data.serverTime,
  });
}

export type Send = {
  url: string;
  method: "GET" | "POST";
  body?: string | Uint8Array<ArrayBuffer>;
  authorization?: string;
  timeoutSeconds: number;
  signal?: AbortSignal;
};

/** Sends one request; every one has a time-out. @throws AppError: the answer's code, or `unavailable`. */
export async function send({
  url,
  method,
  body,
  authorization,
  timeoutSeconds,
  signal,
}: Send): Promise<unknown> {
  const timeout = AbortSignal.timeout(timeoutSeconds * 1000);
  let response: Response;
  try {
    response = await fetch(url, {
      method,
      ...(body !== undefined && { body }),
      headers: {
        [protocolHeader]: String(protocolNumber),
        ...(authorization !== undefined && { authorization: `Bearer ${authorization}` }),
        ...(body !== undefined && {
          "content-type":
            typeof body === "string" ? "application/json" : "application/octet-stream",
        }),
      },
      redirect: "error",
      signal: signal ? AbortSignal.any([timeout, signal]) : timeout,
    });
    return await readAnswer(response);
  } catch (cause) {
    if (cause instanceof AppError) throw cause;
    const why = timeout.aborted
      ? `no answer within ${timeoutSeconds} seconds`
      : (((cause as Error).cause as Error | undefined)?.message ?? (cause as Error).message);
    throw new AppError("unavailable", `cannot reach ${new URL(url).origin}: ${why}`, { cause });
  }
}

async function signRequest({
  identity,
  clock,
  method,
  path,
  body,
}: {
  identity: Identity;
  clock: Clock;
  method: string;
  path: string;
  body: string;
}) {
  const now = Math.floor(Date.now() / 1000 + clock.skewSeconds);
  return new SignJWT({
    htm: method,
    htu: path,
    bsh: createHash("sha256").update(body).digest("base64url"),
  })
    .setProtectedHeader({ alg: signatureAlgorithm, typ: tokenTypes.agent })
    .setIssuer(identity.hostId)
    .setAudience(identity.fleet)
    .setJti(randomUUID())
    .setIssuedAt(now)
    .setExpirationTime(now + 60)
    .sign(await importJWK(identity.signingKey, signatureAlgorithm));
}

/**
 * Sends a request signed with the agent key. A clock that is off is measured against the server's,
 * corrected for, and said; it never leads to a new enrolment.
 */
export async function signedRequest<Schema extends z.ZodType>(
  ctx: { identity: Identity; controlPlane: string; clock: Clock; log: (message: string) => void },
  {
    method,
    path,
    body,
    schema,
    timeoutSeconds,
    signal,
  }: {
    method: "GET" | "POST";
    path: string;
    body?: unknown;
    schema: Schema;
    timeoutSeconds: number;
    signal?: AbortSignal;
  },
): Promise<z.output<Schema>> {
  const text = body === undefined ? "" : JSON.stringify(body);
  const attempt = async () =>
    send({
      url: ctx.controlPlane + path,
      method,
      ...(body !== undefined && { body: text }),
      authorization: await signRequest({
        ...ctx,
        method,
        path: new URL(ctx.controlPlane + path).pathname,
        body: text,
      }),
      timeoutSeconds,
      ...(signal && { signal }),
    });
  const answer = await attempt().catch((error: unknown) => {
    const serverTime =
      error instanceof AppError && error.code === "clock-skew"
        ? (error as { serverTime?: string }).serverTime
        : undefined;
    if (serverTime === undefined) throw error;
    ctx.clock.skewSeconds = Math.round((Date.parse(serverTime) - Date.now()) / 1000);
    ctx.log(
      `the control plane's clock is ${ctx.clock.skewSeconds} seconds ahead of this host's: check NTP on both; corrected for until then`,
    );
    return attempt();
  });
  return parse(schema, answer, "the control plane's answer");
}

/** True for an answer that will be the same next time: the attempt is not ours any more. */
export function isFinal(error: unknown): error is AppError {
  return (
    error instanceof AppError &&
    error.code !== "unavailable" &&
    error.code !== "internal" &&
    error.code !== "too-many-requests"
  );
}
