import { AppError, problemSchema } from "./errors.ts";

/** Longest time for an answer, unless a request says another. */
const requestSeconds = 30;
type Method = "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
export type Query = Record<string, string | number | boolean | undefined>;
export type Request = {
  method: Method;
  path: string;
  query?: Query | undefined;
  /** JSON, or a text with its content type. */
  body?: unknown;
  yaml?: string | undefined;
  headers?: Record<string, string> | undefined;
  seconds?: number;
};

/** The value that a JSON text holds; undefined where it is none. */
export function fromJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function address(url: string, { path, query = {} }: Request): string {
  const given = Object.entries(query).filter(([, value]) => value !== undefined);
  const text = new URLSearchParams(
    Object.fromEntries(given.map(([name, value]) => [name, String(value)])),
  ).toString();
  return `${url}${path}${text && `?${text}`}`;
}

export function unreachable(url: string, cause: unknown): AppError {
  const { cause: inner, message } = cause as Error;
  const why = (inner as Error | undefined)?.message ?? message;
  const isRefused = (inner as NodeJS.ErrnoException | undefined)?.code === "ECONNREFUSED";
  return new AppError(
    "unavailable",
    `cannot reach ${url}: ${why}${isRefused ? " (does it run, and on that port?)" : ""}`,
    { cause },
  );
}

/** Sends a request. @throws AppError: the answer's code and fields, or `unavailable`. */
export async function send(
  { url, token }: { url: string; token: string },
  request: Request,
): Promise<Response> {
  const { method, path, body, yaml, headers, seconds = requestSeconds } = request;
  let response: Response;
  let text: string;
  try {
    response = await fetch(address(url, request), {
      method,
      headers: {
        authorization: `Bearer ${token}`,
        ...headers,
        ...(yaml !== undefined && { "content-type": "application/yaml" }),
        ...(body !== undefined && { "content-type": "application/json" }),
      },
      ...(yaml !== undefined && { body: yaml }),
      ...(body !== undefined && { body: JSON.stringify(body) }),
      redirect: "error",
      signal: AbortSignal.timeout(seconds * 1000),
    });
    if (response.ok) return response;
    text = await response.text();
  } catch (cause) {
    throw unreachable(url, cause);
  }
  const problem = problemSchema.safeParse(fromJson(text));
  if (!problem.success)
    throw new AppError(
      "unavailable",
      `${method} ${path} answered ${response.status} with something that is not of a control plane: is a proxy in between?`,
    );
  throw new AppError(problem.data.code, problem.data.detail, { fields: problem.data.errors ?? [] });
}

/** A body piece by piece. @throws AppError `unavailable` where the connection breaks. */
export async function* pieces({ url }: { url: string }, body: AsyncIterable<Uint8Array> | []) {
  try {
    yield* body;
  } catch (cause) {
    throw unreachable(url, cause);
  }
}
