import { mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { AppError } from "../../protocol/errors.ts";
import { projectName } from "../../protocol/names.ts";
import { nothingDone } from "../../protocol/report.ts";
import { standingTicketSchema } from "../../protocol/standing.ts";
import type { AgentCtx, Standing } from "../context.ts";
import { deliverLog } from "../deliver.ts";
import { signedRequest } from "../request.ts";
import { newEntry, openLeftEntry, putAside, type SpoolEntry } from "../spool.ts";

/** Runs that may wait for the control plane: beyond them no other begins, lest the disk fill up. */
const maxWaiting = 10_000;

/** Times in seconds since 1970, of the control plane's clock. */
const standingEntrySchema = z.object({
  project: projectName,
  order: z.string(),
  scheduledFor: z.int(),
  startedAt: z.number(),
});
type Ticket = z.infer<typeof standingEntrySchema>;

const rootOf = (stateDir: string) => join(stateDir, "standing", "runs");

/** Sorts by time. */
const nameOf = ({ project, scheduledFor }: Pick<Ticket, "project" | "scheduledFor">) =>
  `${String(scheduledFor).padStart(12, "0")}.${project}`;

/** The runs on disk by their names: an occurrence that has one was begun, and is not begun again. */
export async function waitingRuns({ stateDir }: { stateDir: string }): Promise<Set<string>> {
  await mkdir(rootOf(stateDir), { recursive: true, mode: 0o700 });
  return new Set(await readdir(rootOf(stateDir)));
}

const projectOf = (name: string) => name.slice(13);

/** The latest occurrence of each project that was begun and is not delivered. */
export function latestBegun({ waiting }: Pick<Standing, "waiting">): Map<string, number> {
  const latest = new Map<string, number>();
  for (const name of waiting) {
    const at = Number(name.slice(0, 12));
    latest.set(projectOf(name), Math.max(at, latest.get(projectOf(name)) ?? 0));
  }
  return latest;
}

/** Notes on disk that a run begins; null where that cannot be: then it must not. */
export async function noteBegun(
  ctx: AgentCtx,
  { standing, ticket }: { standing: Standing; ticket: Ticket },
): Promise<SpoolEntry<Ticket> | null> {
  const { stateDir } = ctx.config;
  if (standing.waiting.size >= maxWaiting) {
    ctx.log(`${maxWaiting} runs wait for the control plane: no other begins by a standing order`);
    return null;
  }
  const name = nameOf(ticket);
  try {
    const entry = await newEntry({ directory: join(rootOf(stateDir), name), stateDir, ticket });
    standing.waiting.add(name);
    return entry;
  } catch (error) {
    ctx.log(
      `project ${ticket.project}: its standing order is not followed: ${(error as Error).message}`,
    );
    return null;
  }
}

/** Answers that will be the same next time. */
const final = new Set([
  "not-found",
  "invalid-input",
  "order-refused",
  "conflict",
  "body-too-large",
]);

async function deliver(ctx: AgentCtx, { entry }: { entry: SpoolEntry<Ticket> }): Promise<void> {
  const { project, order, scheduledFor, startedAt } = entry.ticket;
  const result =
    (await entry.result()) ??
    (await entry.finish({
      ...nothingDone,
      outcome: "interrupted",
      message: "the agent ended during this run",
    }));
  try {
    const { time, ...ticket } = await signedRequest(ctx, {
      method: "POST",
      path: "/v1/agent/standing-runs",
      body: {
        order,
        scheduledFor: new Date(scheduledFor * 1000).toISOString(),
        startedAt: new Date(startedAt * 1000).toISOString(),
        result,
      },
      schema: standingTicketSchema,
      timeoutSeconds: 30,
    });
    await ctx.contact.note({ at: Date.parse(time) / 1000, leased: false });
    await deliverLog(ctx, { entry: { ...entry, ticket }, offset: 0 });
  } catch (error) {
    if (!(error instanceof AppError) || !final.has(error.code)) throw error;
    ctx.log(
      `project ${project}: what was done by a standing order is not wanted: ${error.message}`,
    );
  }
}

/**
 * Delivers what was done by standing orders, in the order of its time, each exactly once in effect.
 * What still runs is left for later. @throws AppError, with the rest kept.
 */
export async function deliverStandingRuns(
  ctx: AgentCtx,
  { standing }: { standing: Standing },
): Promise<void> {
  const { stateDir } = ctx.config;
  for (const name of [...standing.waiting].toSorted()) {
    if (standing.busy.has(projectOf(name))) continue;
    const directory = join(rootOf(stateDir), name);
    const entry = await openLeftEntry({ directory, stateDir, schema: standingEntrySchema }).catch(
      async (error: Error) => {
        const aside = await putAside({ stateDir, directory });
        ctx.log(`a run is damaged on disk, and was put aside as ${aside}: ${error.message}`);
        return null;
      },
    );
    if (entry) {
      try {
        await deliver(ctx, { entry });
      } catch (error) {
        await entry.close();
        throw error;
      }
      await entry.remove();
    }
    standing.waiting.delete(name);
  }
}
