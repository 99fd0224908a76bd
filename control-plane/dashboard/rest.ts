import type { Context } from "hono";
import { AppError, problemSchema } from "../../protocol/errors.ts";
import type { SignedIn } from "./session.ts";

type Call = {
  method?: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  path: string;
  body?: unknown;
  /** Version that the person has seen. */
  version?: number | undefined;
};

export type Rest = (
  c: Context<SignedIn>,
  call: Call,
) => Promise<{ body: any; location: string | null }>;

/**
 * Pages change things by the operations of the REST interface alone: the same guards, checks, audit events
 * and versions, without a socket in between. @throws AppError as the operation answered.
 */
export function openRest(fetch: (request: Request) => Response | Promise<Response>): Rest {
  return async (c, { method = "POST", path, body, version }) => {
    const response = await fetch(
      new Request(new URL(path, "http://dashboard.invalid"), {
        method,
        headers: {
          authorization: `Bearer ${c.get("token")}`,
          ...(version !== undefined && { "if-match": `"${version}"` }),
        },
        ...(body !== undefined && { body: JSON.stringify(body) }),
      }),
    );
    const answer: unknown = await response.json();
    if (response.ok) return { body: answer, location: response.headers.get("location") };
    const { code, detail, errors } = problemSchema.parse(answer);
    throw new AppError(code, detail, { fields: errors ?? [] });
  };
}
