import type { Context, MiddlewareHandler } from "hono";
import type { z } from "zod";
import { AppError } from "../../protocol/errors.ts";
import { protocolHeader, protocolNumber } from "../../protocol/version.ts";

const refused = (message: string) =>
  new AppError("invalid-input", `${protocolHeader} ${message}`, {
    fields: [{ field: protocolHeader, message }],
  });

/** Number that a request is of. @throws AppError `invalid-input` where it is none that is spoken here. */
function numberOf(c: Context): number {
  const text = c.req.header(protocolHeader) ?? "1";
  if (!/^[1-9]\d{0,5}$/.test(text)) throw refused("must be a whole number from 1");
  const number = Number(text);
  if (number > protocolNumber + 1)
    throw refused(`is ${number}, and this control plane speaks ${protocolNumber}: update it first`);
  if (number < protocolNumber - 1)
    throw refused(
      `is ${number}, and this control plane speaks ${protocolNumber}: update the agent`,
    );
  return number;
}

/** Says which number is spoken here, and refuses requests of one that is too far from it. */
export const speaksProtocol: MiddlewareHandler = async (c, next) => {
  c.header(protocolHeader, String(protocolNumber));
  numberOf(c);
  await next();
};

type Keys = Record<PropertyKey, unknown>;

/** What an agent of a later release sent, without the fields that are not known here; of others all of it. */
export function asKnownHere(
  c: Context,
  { schema, body }: { schema: z.ZodType; body: unknown },
): unknown {
  if (numberOf(c) <= protocolNumber) return body;
  const { error } = schema.safeParse(body);
  const known = structuredClone(body);
  for (const issue of error?.issues ?? []) {
    if (issue.code !== "unrecognized_keys") continue;
    const place = issue.path.reduce<unknown>((value, key) => (value as Keys)[key], known) as Keys;
    for (const key of issue.keys) delete place[key];
  }
  return known;
}
