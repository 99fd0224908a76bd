import { access, constants, mkdir } from "node:fs/promises";
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { createAdaptorServer } from "@hono/node-server";
import { sql } from "drizzle-orm";
import type { Logger } from "pino";
import { AppError } from "../protocol/errors.ts";
import { openPulses, type Pulses } from "../systemd/pulses.ts";
import { deliverAlerts } from "./alerts/deliver.ts";
import { evaluateAlerts } from "./alerts/evaluate.ts";
import { writeFirstAdminToken } from "./auth/first-admin.ts";
import { openOidc } from "./auth/oidc.ts";
import { deriveSecrets, loadSecret } from "./auth/secrets.ts";
import { openFleet } from "./auth/task-keys.ts";
import type { Config } from "./config.ts";
import type { Ctx } from "./context.ts";
import { connect } from "./db/connect.ts";
import { migrate } from "./db/migrate.ts";
import { openDatabase } from "./db/open-database.ts";
import { sampleDisks } from "./db/queries/disk-samples.ts";
import { removeOldAnswers } from "./db/queries/idempotent-answers.ts";
import { leaseSeconds } from "./dispatch/lease.ts";
import { reclaimExpired } from "./dispatch/reclaim.ts";
import { startWake } from "./dispatch/wake.ts";
import { deriveFreshTargets } from "./fleet/fresh-targets.ts";
import { createApp } from "./http/app.ts";
import { stopServing } from "./http/stop-serving.ts";
import { packLogs } from "./pack-logs.ts";
import { repeat } from "./repeat.ts";
import { removeOld } from "./retention.ts";
import { openShare } from "./sharing.ts";
import { materialiseDue } from "./schedule/materialise.ts";

export type RunningServer = {
  url: string;
  /** Settles when the embedded database has ended by itself; never otherwise. */
  databaseExited: Promise<unknown>;
  close: () => Promise<void>;
};

/** As old what is public may be: a site's users and its load balancers ask all the time. */
const shareSeconds = 5;

/** Milliseconds after which a connection is given up: none may stay half open. */
const connectionLimits = {
  headersTimeout: 15_000,
  requestTimeout: 60_000,
  connectionsCheckingInterval: 5000,
  // Longer than proxies keep theirs: who closes first decides whether a request can be lost.
  keepAliveTimeout: 75_000,
  // Held polls and followed logs are silent: the system asks whether their other end is alive.
  keepAlive: true,
  keepAliveInitialDelay: 30_000,
};

/** Connections that the system keeps until they are taken: after a restart all agents connect at once. */
const backlog = 4096;

function listen({
  app,
  config,
}: {
  app: ReturnType<typeof createApp>;
  config: Config;
}): Promise<{ server: Server; url: string }> {
  const server = createAdaptorServer({
    fetch: app.fetch,
    hostname: config.listen.host,
    serverOptions: connectionLimits,
  }) as Server;
  return new Promise((resolve, reject) => {
    server.once("error", (cause: NodeJS.ErrnoException) => {
      const why =
        cause.code === "EADDRINUSE"
          ? "is in use: set MIRRORFLEET_LISTEN to another host:port"
          : cause.message;
      reject(
        new AppError("conflict", `${config.listen.host}:${config.listen.port} ${why}`, { cause }),
      );
    });
    server.listen({ ...config.listen, backlog }, () => {
      const { address, port, family } = server.address() as AddressInfo;
      resolve({ server, url: `http://${family === "IPv6" ? `[${address}]` : address}:${port}` });
    });
  });
}

async function makeDataDirectory({ dataDirectory }: Config): Promise<void> {
  try {
    await mkdir(dataDirectory, { recursive: true, mode: 0o711 });
    await access(dataDirectory, constants.W_OK | constants.X_OK);
  } catch (cause) {
    throw new AppError(
      "invalid-input",
      `cannot use the data directory ${dataDirectory} (${(cause as Error).message}): set MIRRORFLEET_DATA to a directory that this user may write to`,
      { cause },
    );
  }
}

/** Starts the control plane: database, migrations, keys, loops, HTTP. What had started is ended if a later step fails. */
export async function startServer({
  config,
  log,
  pulses = openPulses(),
}: {
  config: Config;
  log: Logger;
  pulses?: Pulses;
}): Promise<RunningServer> {
  const closers: (() => Promise<unknown>)[] = [];
  const close = async () => {
    for (let closer = closers.pop(); closer; closer = closers.pop()) await closer();
  };
  try {
    return await start({ config, log, pulses, closers, close });
  } catch (error) {
    await close();
    throw error;
  }
}

async function start({
  config,
  log,
  pulses,
  closers,
  close,
}: {
  config: Config;
  log: Logger;
  pulses: Pulses;
  closers: (() => Promise<unknown>)[];
  close: () => Promise<void>;
}): Promise<RunningServer> {
  // Others may pass through, to reach what is theirs; each secret inside is 0600 or 0700.
  await makeDataDirectory(config);
  const { connection, exited, close: closeDatabase } = await openDatabase({ config, log });
  closers.push(closeDatabase);
  await migrate({ connection });
  const { db, close: disconnect } = connect({ connection });
  closers.push(disconnect);
  // The same each time: the texts of statements are made once for it.
  const clock = sql`now()`;
  const now = () => clock;
  const derived = deriveSecrets({
    secret: await loadSecret({ text: config.secret, file: config.secretFile }),
  });
  const secrets = { ...derived, fleet: await openFleet({ db, now, secrets: derived }) };
  const wake = await startWake({ connection, log });
  closers.push(wake.close);
  const oidc = config.oidc && openOidc(config.oidc);
  const share = openShare({ milliseconds: shareSeconds * 1000 });
  const { packagesDirectory } = config;
  const { waitForWake } = wake;
  const ctx: Ctx = { db, log, secrets, oidc, share, now, packagesDirectory, waitForWake };
  await deriveFreshTargets(ctx);
  await writeFirstAdminToken(ctx, { file: config.adminTokenFile });

  closers.push(
    repeat({ log, pulses, name: "schedule", everySeconds: 1, action: () => materialiseDue(ctx) }),
  );
  // Agents get one lease's time to be heard again after the control plane itself was away.
  closers.push(
    repeat({
      log,
      pulses,
      name: "reclaim",
      everySeconds: 5,
      afterSeconds: leaseSeconds,
      action: () => reclaimExpired(ctx),
    }),
  );
  // The same: what only this absence brought about is no alert.
  closers.push(
    repeat({
      log,
      pulses,
      name: "alerts",
      everySeconds: 30,
      afterSeconds: leaseSeconds,
      action: () => evaluateAlerts(ctx),
    }),
  );
  closers.push(
    repeat({
      log,
      pulses,
      name: "forget kept answers",
      everySeconds: 3600,
      action: () => removeOldAnswers(ctx),
    }),
    repeat({
      log,
      pulses,
      name: "disk samples",
      everySeconds: 600,
      action: () => sampleDisks(ctx),
    }),
  );
  const stopping = new AbortController();
  closers.push(
    repeat({
      log,
      pulses,
      name: "retention",
      everySeconds: 600,
      afterSeconds: 60,
      action: async () => {
        const removed = await removeOld(ctx, { seconds: 60, signal: stopping.signal });
        if (Object.values(removed).some(Boolean)) log.info(removed, "removed what is old");
      },
    }),
    repeat({
      log,
      pulses,
      name: "packing of logs",
      everySeconds: 60,
      afterSeconds: 30,
      action: () => packLogs(ctx, { seconds: 30, signal: stopping.signal }),
    }),
    repeat({
      log,
      pulses,
      name: "delivery of alerts",
      everySeconds: 5,
      action: () => deliverAlerts(ctx, { signal: stopping.signal }),
    }),
    async () => stopping.abort(),
  );
  const { server, url } = await listen({ app: createApp(ctx), config });
  closers.push(() => stopServing(server, wake));
  return { url, databaseExited: exited, close };
}
