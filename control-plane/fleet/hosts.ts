import { and, asc, eq, inArray, type SQL } from "drizzle-orm";
import type { z } from "zod";
import { AppError, parse } from "../../protocol/errors.ts";
import type { Host, hostPatchSchema } from "../../protocol/host.ts";
import { labelsSchema } from "../../protocol/project.ts";
import { endEnrolmentTokens } from "../auth/enrolment.ts";
import type { Ctx } from "../context.ts";
import { lockHost, masterIds, readHost, updateHost } from "../db/queries/hosts.ts";
import { projects } from "../db/schema/projects.ts";
import { replicas } from "../db/schema/replicas.ts";
import { cancelWaiting } from "../dispatch/cancel.ts";
import { notifyHosts, notifyWaitingFor } from "../dispatch/wake.ts";
import { placeAll } from "./placement.ts";

type Change = { before: Host; after: Host };

function mergedLabels(
  current: Record<string, string>,
  patch: Record<string, string | null> = {},
): Record<string, string> {
  const merged = Object.entries({ ...current, ...patch }).filter(([, value]) => value !== null);
  return parse(labelsSchema, Object.fromEntries(merged), "labels");
}

/** Changes a host; other labels may make it carry other projects. @throws AppError `not-found`, `invalid-input`. */
export async function patchHost(
  ctx: Ctx,
  { name, patch }: { name: string; patch: z.output<typeof hostPatchSchema> },
): Promise<Change> {
  const { id, roles, labels } = await lockHost(ctx, { name });
  const before = await readHost(ctx, { name });
  const { addresses, parallel, serves } = patch;
  if (roles.includes("master") && addresses?.[0]?.includes("/")) {
    const message = "of a master must begin with an IP address or a DNS name, not a range";
    throw new AppError("invalid-input", `addresses ${message}`, {
      fields: [{ field: "addresses.0", message }],
    });
  }
  await updateHost(ctx, {
    id,
    values: {
      labels: mergedLabels(labels, patch.labels),
      ...(addresses && { addresses }),
      ...(parallel !== undefined && { parallel }),
      ...(serves !== undefined && { serves }),
    },
  });
  if (patch.labels) await placeAll(ctx);
  await notifyHosts(ctx, { hostIds: [id, ...(await masterIds(ctx))] });
  if (serves !== undefined) await notifyWaitingFor(ctx, { masterId: id });
  return { before, after: await readHost(ctx, { name }) };
}

/** Ends an agent's authority, and what waits for it. @throws AppError `not-found`. */
export async function revokeHost(
  ctx: Ctx,
  { name, at }: { name: string; at: SQL },
): Promise<Change> {
  const { id } = await lockHost(ctx, { name });
  const before = await readHost(ctx, { name });
  await updateHost(ctx, { id, values: { revokedAt: at as unknown as Date } });
  // Who has an invitation of before must not come back by it.
  await endEnrolmentTokens(ctx, { hostId: id });
  const carried = await ctx.db
    .select({ projectId: projects.id })
    .from(projects)
    .where(
      inArray(
        projects.id,
        ctx.db
          .select({ id: replicas.projectId })
          .from(replicas)
          .where(and(eq(replicas.hostId, id), eq(replicas.role, "ftp"))),
      ),
    )
    .orderBy(asc(projects.name))
    .for("update");
  for (const { projectId } of carried)
    await cancelWaiting(ctx, { projectId, hostIds: [id], reason: `host ${name} was revoked` });
  // Masters stop admitting it, and its own held poll ends.
  await notifyHosts(ctx, { hostIds: [...(await masterIds(ctx)), id] });
  return { before, after: await readHost(ctx, { name }) };
}

/**
 * Ends a quarantine: whichever of its agents polls next is the host, and another one that goes on beside it
 * brings the quarantine back. @throws AppError `not-found`.
 */
export async function releaseHost(ctx: Ctx, { name }: { name: string }): Promise<Change> {
  const { id, quarantinedAt } = await lockHost(ctx, { name });
  const before = await readHost(ctx, { name });
  if (quarantinedAt === null) return { before, after: before };
  const values = { quarantinedAt: null, quarantineReason: "", instance: null, instances: null };
  await updateHost(ctx, { id, values });
  await notifyHosts(ctx, { hostIds: [id] });
  return { before, after: await readHost(ctx, { name }) };
}
