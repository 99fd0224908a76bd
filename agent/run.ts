import { access, constants, mkdir, readFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { AppError } from "../protocol/errors.ts";
import type { Notify } from "../systemd/notify.ts";
import type { Pulses } from "../systemd/pulses.ts";
import { noteStart, noteStop } from "./changes/carried.ts";
import { listsDirectory } from "./changes/journal.ts";
import { type Config, required } from "./config.ts";
import { openContact } from "./contact.ts";
import type { AgentCtx, Standing } from "./context.ts";
import { admitRemembered, type RunningDaemon } from "./daemon-users.ts";
import { checkStateApart, resolveMirrorRoots, resolveQuarantines } from "./destination.ts";
import { holdName } from "./hold.ts";
import { watchHostFacts } from "./host-facts.ts";
import { readIdentity } from "./identity.ts";
import { thisInstance } from "./instance.ts";
import { openMetrics } from "./metrics.ts";
import { keepMetricsFile } from "./metrics-file.ts";
import { deliverLeftovers, pollLoop } from "./poll-loop.ts";
import { removeExpired } from "./quarantine.ts";
import { startDaemon } from "./rsync/daemon.ts";
import { endLeftovers } from "./rsync/leftovers.ts";
import { openTlsKey } from "./rsync/tls-key.ts";
import { leftSpoolEntries } from "./spool.ts";
import { followStandingOrders } from "./standing/follow.ts";
import { readStandingSet, removeStandingSet } from "./standing/kept.ts";
import { waitingRuns } from "./standing/spool.ts";
import { openSeenOrders } from "./verify-order.ts";

/** Seconds that what runs has to end when the agent cannot go on. */
const endSeconds = 15;

/** The roots with the modules that a master serves them as: "mirror", "mirror-2" and so on. */
const withModules = (mirrorRoots: string[]) =>
  mirrorRoots.map((path, index) => ({
    path,
    module: `mirror${index === 0 ? "" : `-${index + 1}`}`,
  }));

async function startMastersDaemon(ctx: AgentCtx) {
  if (!ctx.identity.roles.includes("master")) return null;
  const { port, address, tls } = ctx.config.daemon;
  const { stateDir } = ctx.config;
  const key = tls === "no" ? null : await openTlsKey({ stateDir, identity: ctx.identity });
  await mkdir(listsDirectory(stateDir), { recursive: true, mode: 0o755 });
  const roots = withModules(ctx.config.mirrorRoots);
  // Nobody is admitted before the control plane has said who is.
  const daemon = await startDaemon(
    { rsync: ctx.config.rsync, log: ctx.log },
    {
      roots,
      port,
      address,
      stateDir,
      lists: listsDirectory(stateDir),
      tls,
      users: [],
      serves: null,
    },
  );
  ctx.log(
    `the rsync daemon serves ${ctx.config.mirrorRoots.join(", ")} on port ${port}${tls === "no" ? "" : tls === "both" ? ", by TLS and by plain rsync" : ", by TLS"}`,
  );
  const keySha256 = key?.keySha256 ?? null;
  return { port, keySha256, roots, update: daemon.update, version: null, stop: daemon.stop };
}

/** Says which roots this process cannot write to, and the likely cure: a disk may still come to its senses. */
async function sayUnwritable({
  mirrorRoots,
  log,
}: {
  mirrorRoots: string[];
  log: (message: string) => void;
}): Promise<void> {
  for (const root of mirrorRoots) {
    await access(root, constants.W_OK).catch(({ code, message }: NodeJS.ErrnoException) => {
      const cure =
        code === "EROFS"
          ? `${root} is read-only for this service: where its disk is not, name it in ReadWritePaths= (systemctl edit mirrorfleet-agent)`
          : `${root} cannot be written to: ${message}`;
      log(cure);
    });
  }
}

/** Standing orders as they are on disk; null where they are switched off: then none is kept. */
async function openStanding({ stateDir, standingAfterSeconds }: Config): Promise<Standing | null> {
  const waiting = await waitingRuns({ stateDir });
  if (standingAfterSeconds === null) {
    await removeStandingSet({ stateDir });
    // What was done before they were switched off is delivered all the same.
    if (waiting.size === 0) return null;
  }
  return {
    set: await readStandingSet({ stateDir }),
    afterSeconds: standingAfterSeconds ?? Number.POSITIVE_INFINITY,
    busy: new Map(),
    waiting,
  };
}

async function followOrders(
  ctx: AgentCtx,
  { daemon, stop }: { daemon: RunningDaemon | null; stop: AbortSignal },
): Promise<void> {
  const { standing } = ctx;
  if (!standing) return;
  const onSilence = async () => {
    if (daemon) await admitRemembered(ctx, { daemon });
  };
  await followStandingOrders(ctx, { standing, stop, onSilence });
}

const millisecondsBetweenCleanings = 3_600_000;

/** Removes from the quarantines what has waited its days: now, and every hour. Returns how to stop that. */
function cleanQuarantines({ config, log }: AgentCtx): () => void {
  const clean = async () => {
    for (const quarantine of config.quarantines ?? []) {
      const days = config.quarantineDays;
      const removed = await removeExpired({ quarantine, days, now: new Date() });
      if (removed > 0)
        log(`removed ${removed} deletions older than ${days} days from ${quarantine}`);
    }
  };
  const run = () =>
    void clean().catch((error: Error) => log(`cannot clean a quarantine: ${error.message}`));
  run();
  const timer = setInterval(run, millisecondsBetweenCleanings);
  return () => clearInterval(timer);
}

/**
 * Runs the agent until `stop`, which ends its rsyncs; `hurry` also gives up on deliveries, whose
 * spool the next start delivers. @throws AppError `agent-revoked`, `conflict` beside another agent.
 */
export async function runAgent({
  config,
  log,
  notify,
  pulses,
  stop,
  hurry,
}: {
  config: Config;
  log: (message: string) => void;
  notify: Notify;
  pulses: Pulses;
  stop: AbortSignal;
  hurry: AbortSignal;
}): Promise<void> {
  const identity = await readIdentity({ stateDir: config.stateDir });
  const mirrorRoots = await resolveMirrorRoots({
    mirrorRoots: required("mirror-roots", config.mirrorRoots),
  });
  const quarantines = await resolveQuarantines({ quarantines: config.quarantines, mirrorRoots });
  await sayUnwritable({ mirrorRoots, log });
  if (config.policy.sources.length === 0)
    throw new AppError(
      "invalid-input",
      "MIRRORFLEET_SOURCES is empty: name the places that this host may pull from",
    );
  await mkdir(config.stateDir, { recursive: true, mode: 0o700 });
  await checkStateApart({ stateDir: config.stateDir, mirrorRoots });
  const held = await holdName({
    name: `state ${config.stateDir}`,
    what: `another agent runs with the state directory ${config.stateDir}`,
  });
  const bootId = await readFile("/proc/sys/kernel/random/boot_id", "utf8");
  if (await noteStart({ stateDir: config.stateDir, bootId }))
    log("the machine went down without notice: each project's next sync compares its whole tree");
  const leftovers = await endLeftovers({ stateDir: config.stateDir });
  if (leftovers > 0) log(`ended ${leftovers} rsync processes that an agent before this one left`);
  const clock = { skewSeconds: 0 };
  const ctx: AgentCtx = {
    config: { ...config, mirrorRoots, quarantines },
    identity,
    controlPlane: config.controlPlane ?? identity.controlPlane,
    instance: await thisInstance({ bootId }),
    clock,
    contact: await openContact({ stateDir: config.stateDir, clock, bootId, log }),
    facts: await watchHostFacts({ ...config, mirrorRoots }),
    metrics: await openMetrics(config),
    seen: await openSeenOrders({ stateDir: config.stateDir }),
    work: { running: new Set(), ends: new Map(), projects: new Set() },
    standing: await openStanding(config),
    pulses,
    log,
  };
  // Before the first poll: what it brings is not left over.
  const left = await leftSpoolEntries({ stateDir: config.stateDir, log });
  const daemon = await startMastersDaemon(ctx);
  const stopCleaning = cleanQuarantines(ctx);
  const stopMetrics = keepMetricsFile(ctx);
  const ended = new AbortController();
  try {
    log(`host ${identity.host} (${identity.roles.join(", ")}) polls ${ctx.controlPlane}`);
    await notify("READY=1", `STATUS=host ${identity.host} polls ${ctx.controlPlane}`);
    await Promise.all([
      deliverLeftovers(ctx, { left, hurry: stop }),
      pollLoop(ctx, { daemon, stop, hurry }),
      followOrders(ctx, { daemon, stop: AbortSignal.any([stop, ended.signal]) }),
    ]);
  } finally {
    stopCleaning();
    ctx.facts.stop();
    stopMetrics();
    // Where polling ended with an error, as after a revocation, what runs ends too.
    ended.abort();
    for (const end of ctx.work.ends.values()) end.abort("lost");
    await Promise.race([
      Promise.all(ctx.work.running),
      sleep(endSeconds * 1000, undefined, { ref: false }),
    ]);
    await daemon?.stop();
    await noteStop({ stateDir: config.stateDir });
    await held.release();
  }
}
