import { randomUUID } from "node:crypto";
import { eq, sql } from "drizzle-orm";
import { z } from "zod";
import type { Receiver, ReceiverCreate, receiverPatchSchema } from "../../protocol/alert.ts";
import { AppError } from "../../protocol/errors.ts";
import { decryptAtRest, encryptAtRest } from "../auth/at-rest.ts";
import type { Ctx } from "../context.ts";
import { retryNow } from "../db/queries/alert-messages.ts";
import { lockReceiver, readReceiver, type ReceiverRow } from "../db/queries/alert-receivers.ts";
import { alertReceivers } from "../db/schema/alerts.ts";
import { checkReceiver, type Target } from "./check-receiver.ts";

const sealedSchema = z.object({ url: z.string(), secret: z.string().nullable() });
const owner = (id: string) => `alert receiver ${id}`;

const seal = (
  { secrets }: Pick<Ctx, "secrets">,
  { id, url, secret }: { id: string } & z.output<typeof sealedSchema>,
) => encryptAtRest(secrets, { secret: JSON.stringify({ url, secret }), owner: owner(id) });

/** Opens a receiver's URL and secret. @throws AppError `internal` where they were tampered with. */
export async function openReceiver(
  { secrets }: Pick<Ctx, "secrets">,
  { id, kind, sealed, room, sender, recipients }: ReceiverRow,
): Promise<Target> {
  const text = await decryptAtRest(secrets, { encrypted: sealed, owner: owner(id) });
  return { ...sealedSchema.parse(JSON.parse(text)), kind, room, from: sender, to: recipients };
}

/** Makes a receiver. @throws AppError `conflict`, `invalid-input`. */
export async function createReceiver(
  ctx: Ctx,
  { input }: { input: ReceiverCreate },
): Promise<Receiver> {
  const { url, secret, from: sender, to: recipients, ...columns } = input;
  const { address } = checkReceiver(input);
  const id = randomUUID();
  const sealed = await seal(ctx, { id, url, secret });
  const [made] = await ctx.db
    .insert(alertReceivers)
    .values({ ...columns, id, address, sealed, sender, recipients })
    .onConflictDoNothing()
    .returning({ id: alertReceivers.id });
  if (!made) throw new AppError("conflict", `there is a receiver "${input.name}" already`);
  return readReceiver(ctx, input);
}

/** A secret goes to no other host than the one that it was stored for. */
function checkSecretStays(
  { address, kind }: ReceiverRow,
  { patch, after }: { patch: z.output<typeof receiverPatchSchema>; after: string },
): void {
  if (kind !== "matrix" || address === after || typeof patch.secret === "string") return;
  const message = `must be given again: the one that is stored is for ${address}`;
  throw new AppError("invalid-input", `secret ${message}`, {
    fields: [{ field: "secret", message }],
  });
}

/** Changes a receiver; what waits for it is tried again at once. @throws AppError `not-found`, `invalid-input`. */
export async function patchReceiver(
  ctx: Ctx,
  { name, patch }: { name: string; patch: z.output<typeof receiverPatchSchema> },
): Promise<{ before: Receiver; after: Receiver }> {
  const row = await lockReceiver(ctx, { name });
  const before = await readReceiver(ctx, { name });
  const { conditions, projects, hosts, remindHours } = patch;
  const given = Object.fromEntries(
    Object.entries(patch).filter(([, value]) => value !== undefined),
  ) as Partial<Target>;
  const target = { ...(await openReceiver(ctx, row)), ...given };
  const { address } = checkReceiver(target);
  checkSecretStays(row, { patch, after: address });
  await ctx.db
    .update(alertReceivers)
    .set({
      address,
      sealed: await seal(ctx, { id: row.id, ...target }),
      room: target.room,
      sender: target.from,
      recipients: target.to,
      // Drizzle leaves out what is undefined.
      ...({ conditions, projects, hosts, remindHours } as Partial<ReceiverRow>),
    })
    .where(eq(alertReceivers.id, row.id));
  await retryNow(ctx, { receiverId: row.id });
  return { before, after: await readReceiver(ctx, { name }) };
}

/** Tells a receiver nothing until a time; null ends that. @throws AppError `not-found`. */
export async function silenceReceiver(
  ctx: Ctx,
  { name, until }: { name: string; until: string | null },
): Promise<{ before: Receiver; after: Receiver }> {
  const { id } = await lockReceiver(ctx, { name });
  const before = await readReceiver(ctx, { name });
  await ctx.db
    .update(alertReceivers)
    .set({ silencedUntil: until === null ? null : sql`${until}::timestamptz` })
    .where(eq(alertReceivers.id, id));
  return { before, after: await readReceiver(ctx, { name }) };
}

/** Removes a receiver with what waits for it. @throws AppError `not-found`. */
export async function removeReceiver(ctx: Ctx, { name }: { name: string }): Promise<Receiver> {
  const before = await readReceiver(ctx, { name });
  await ctx.db.delete(alertReceivers).where(eq(alertReceivers.name, name));
  return before;
}
