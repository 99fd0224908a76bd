import { sql } from "drizzle-orm";
import { pino } from "pino";
import { z } from "zod";
import { AppError, parse } from "../protocol/errors.ts";
import { openOidc } from "./auth/oidc.ts";
import { deriveSecrets, loadSecret } from "./auth/secrets.ts";
import { fleetIdentity } from "./auth/task-keys.ts";
import { readConfig } from "./config.ts";
import type { Ctx } from "./context.ts";
import { connect } from "./db/connect.ts";
import { lookForWake } from "./dispatch/look-for-wake.ts";
import { createApp } from "./http/app.ts";
import { upkeep } from "./upkeep.ts";

/** Settings and bindings as a platform hands them over. */
type Environment = Record<string, unknown>;
/** Lets the platform wait for what goes on after the answer. */
type Execution = { waitUntil: (work: Promise<unknown>) => void };

/** The same for all requests: the texts of statements are made once for it. */
const clock = sql`now()`;

/** Connections to the database that one request takes at most. */
const maxConnections = 3;

const seconds = (max: number) => z.coerce.number().int().min(0).max(max);
const settingsSchema = z.object({
  MIRRORFLEET_HOLD_SECONDS: seconds(25).default(20),
  MIRRORFLEET_PAUSE_SECONDS: seconds(60).optional(),
  /** Cloudflare's pooler. */
  HYPERDRIVE: z.object({ connectionString: z.string() }).optional(),
});

/** Pause between polls that are not held: without one agents would ask without end. */
const defaultPauseSeconds = 15;

const isText = (entry: [string, unknown]): entry is [string, string] =>
  typeof entry[1] === "string";

function readSettings(environment: Environment) {
  const config = readConfig(Object.fromEntries(Object.entries(environment).filter(isText)));
  const settings = parse(settingsSchema, environment, "the environment");
  const connection = settings.HYPERDRIVE?.connectionString ?? config.databaseUrl;
  if (connection === undefined || config.secret === undefined)
    throw new AppError(
      "invalid-input",
      "DATABASE_URL (or the binding HYPERDRIVE) and MIRRORFLEET_SECRET must be set: there is no disk for a database or a secret here",
    );
  const holdSeconds = settings.MIRRORFLEET_HOLD_SECONDS;
  const least = holdSeconds === 0 ? 1 : 0;
  const pause = settings.MIRRORFLEET_PAUSE_SECONDS ?? (holdSeconds === 0 ? defaultPauseSeconds : 0);
  const hold = { seconds: holdSeconds, pauseSeconds: Math.max(least, pause) };
  return { config, connection, hold };
}

/** Everything that one request, or one round of upkeep, works with. Nothing of it outlives that. */
async function open(environment: Environment): Promise<{ ctx: Ctx; close: () => Promise<void> }> {
  const { config, connection, hold } = readSettings(environment);
  const log = pino({ level: config.logLevel });
  const derived = deriveSecrets({
    secret: await loadSecret({ text: config.secret, file: config.secretFile }),
  });
  const secrets = { ...derived, fleet: await fleetIdentity(derived) };
  const { db, close } = connect({ connection, max: maxConnections, patient: true });
  const now = () => clock;
  const oidc = config.oidc && openOidc(config.oidc);
  // A platform lets no request wait for what another one reads: caches before it share.
  const share: Ctx["share"] = (_name, read) => read();
  const ctx: Ctx = {
    db,
    log,
    secrets,
    oidc,
    share,
    now,
    hold,
    waitForWake: lookForWake({ db, now }),
  };
  return { ctx, close };
}

/** Passes a body on, and calls `done` when the last of it has gone, or nobody wants it any more. */
function whenSent(body: ReadableStream<Uint8Array>, done: () => void): ReadableStream<Uint8Array> {
  const reader = body.getReader();
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      try {
        const { done: ended, value } = await reader.read();
        if (!ended) return controller.enqueue(value);
        controller.close();
      } catch (error) {
        controller.error(error);
      }
      done();
    },
    async cancel(reason) {
      done();
      await reader.cancel(reason);
    },
  });
}

/** The request without a wish for compression: platforms compress by themselves, and workerd would do so twice. */
function uncompressed(request: Request): Request {
  const plain = new Request(request);
  plain.headers.delete("accept-encoding");
  return plain;
}

/** Answers one request. Its connections to the database end with the answer's last byte. */
export async function fetch(
  request: Request,
  environment: Environment,
  execution: Execution,
): Promise<Response> {
  const { ctx, close } = await open(environment);
  const sent = Promise.withResolvers<void>();
  execution.waitUntil(sent.promise.then(close));
  try {
    const response = await createApp(ctx).fetch(uncompressed(request));
    if (response.body === null) sent.resolve();
    const body = response.body && whenSent(response.body, sent.resolve);
    return new Response(body, response);
  } catch (error) {
    sent.resolve();
    throw error;
  }
}

/** One round of what a server's loops do: to be called by the platform's cron, every minute. */
export async function scheduled(_event: unknown, environment: Environment): Promise<void> {
  const { ctx, close } = await open(environment);
  try {
    await upkeep(ctx);
  } finally {
    await close();
  }
}

export default { fetch, scheduled };
