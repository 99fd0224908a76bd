import { z } from "zod";
import { instant } from "./instant.ts";
import { projectName } from "./names.ts";
import { syncSpecSchema } from "./order.ts";
import { resultSchema } from "./report.ts";

/** Times that one standing order names: with a frequent schedule they end before the order does. */
export const maxOccurrences = 400;

/**
 * Claims of a standing order: what a host does by itself while it is out of contact. `aud` is the host's
 * id, `sub` the project's. Times in seconds since 1970.
 */
export const standingClaimsSchema = z.object({
  iss: z.string(),
  aud: z.string(),
  sub: z.uuid(),
  jti: z.string().min(1).max(100),
  iat: z.int(),
  nbf: z.int(),
  exp: z.int(),
  role: z.enum(["master", "ftp"]),
  /** When the schedule has the project due, ascending. */
  occurrences: z.array(z.int()).min(1).max(maxOccurrences),
  /** Seconds after an occurrence at which this host begins: its master is to have pulled by then. */
  delaySeconds: z.int().min(0),
  misfire: z.enum(["latest", "skip"]),
  /** Of a pull from an upstream: pulls at a time from that host; null: no limit. */
  upstream: z.object({ host: z.string(), parallel: z.int().min(1) }).nullable(),
  /** Tasks at a time on this host; null: as its agent is set. */
  hostParallel: z.int().min(1).nullable(),
  sync: syncSpecSchema,
});
export type StandingClaims = z.infer<typeof standingClaimsSchema>;

/** Query of `GET /v1/agent/standing-orders`. */
export const standingQuerySchema = z.strictObject({
  after: projectName.optional().meta({ description: "`next` of the page before" }),
});

/** A page of a host's standing orders, each a JWS. */
export const standingOrdersSchema = z.object({
  version: z.string(),
  orders: z.array(z.string()),
  next: projectName.nullable(),
  /** The control plane's clock. */
  time: z.iso.datetime(),
});
export type StandingOrders = z.infer<typeof standingOrdersSchema>;

/** Body of `POST /v1/agent/standing-runs`: what a host did by a standing order. */
export const standingRunSchema = z.strictObject({
  order: z.string().max(900_000),
  scheduledFor: instant,
  startedAt: instant,
  result: resultSchema,
});
export type StandingRun = z.infer<typeof standingRunSchema>;

/** Answer to it: where the log goes, and the token for that. */
export const standingTicketSchema = z.object({
  taskId: z.uuid(),
  attempt: z.int(),
  taskToken: z.string(),
  /** The control plane's clock. */
  time: z.iso.datetime(),
});
export type StandingTicket = z.infer<typeof standingTicketSchema>;
