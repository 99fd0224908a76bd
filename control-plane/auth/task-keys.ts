import { createHash, createPrivateKey, randomBytes } from "node:crypto";
import { asc, gt, sql } from "drizzle-orm";
import { calculateJwkThumbprint, importJWK, SignJWT } from "jose";
import { AppError } from "../../protocol/errors.ts";
import { signatureAlgorithm, tokenTypes } from "../../protocol/order.ts";
import type { TaskKey } from "../../protocol/task-key.ts";
import type { Ctx } from "../context.ts";
import { fleet, taskKeys } from "../db/schema/fleet.ts";
import { decryptAtRest, encryptAtRest } from "./at-rest.ts";

type KeyCtx = Pick<Ctx, "db" | "now" | "secrets">;
/** What keeps keys; the fleet's identity may not be known yet. */
type StoreCtx = Pick<Ctx, "db" | "now"> & {
  secrets: Pick<Ctx["secrets"], "storageKey" | "firstTaskKey">;
};
type Row = typeof taskKeys.$inferSelect & { usable: boolean };

/** Seconds from a key's publication to its first use: agents learn of it with their next poll. */
const leadSeconds = 600;
/** Seconds for which a key that was replaced is pinned: longer than its last order lasts. */
const pinnedSeconds = 900;
/** Seconds for which it still vouches for its successors and for reports on what it ordered. */
const keptSeconds = 90 * 86_400;

const owner = (kid: string) => `task key ${kid}`;

// PKCS #8 wrapper of a raw Ed25519 seed (RFC 8410 §7).
const pkcs8Prefix = Buffer.from("302e020100300506032b657004220420", "hex");

/** A key pair as JWK from its 32 bytes of seed, and its thumbprint. */
export async function keyOf(seed: Buffer) {
  const der = Buffer.concat([pkcs8Prefix, seed]);
  const { x, d } = createPrivateKey({ key: der, format: "der", type: "pkcs8" }).export({
    format: "jwk",
  });
  const jwk = { kty: "OKP", crv: "Ed25519", x: x! };
  return { x: x!, d: d!, kid: await calculateJwkThumbprint(jwk) };
}

const otherSecret = () =>
  new AppError(
    "conflict",
    'the secret differs from the one that this database was set up with: set MIRRORFLEET_SECRET to it, or restore the file "secret" of the data directory',
  );

async function insertKey(
  ctx: StoreCtx,
  { seed, leadBy }: { seed: Buffer; leadBy: number },
): Promise<void> {
  const { kid, x, d } = await keyOf(seed);
  await ctx.db.insert(taskKeys).values({
    kid,
    x,
    privateKey: await encryptAtRest(ctx.secrets, { secret: d, owner: owner(kid) }),
    usableFrom: sql`${ctx.now()} + ${leadBy} * interval '1 second'`,
    createdAt: sql`${ctx.now()}`,
  });
}

/** All keys that still matter, oldest first. */
async function readRows({ db, now }: Pick<Ctx, "db" | "now">): Promise<Row[]> {
  const rows = await db
    .select({ key: taskKeys, usable: sql<boolean>`${taskKeys.usableFrom} <= ${now()}` })
    .from(taskKeys)
    .orderBy(asc(taskKeys.usableFrom));
  return rows.map(({ key, usable }) => Object.assign(key, { usable }));
}

/** The fleet's identity, which its secret alone says: thumbprint (RFC 7638) of the first task key. */
export const fleetIdentity = async ({
  firstTaskKey,
}: Pick<Ctx["secrets"], "firstTaskKey">): Promise<string> => (await keyOf(firstTaskKey)).kid;

/**
 * Makes the fleet's first task key, whose thumbprint (RFC 7638) is the fleet's identity; answers that.
 * @throws AppError `conflict` where the secret is not the one that this database was set up with.
 */
export async function openFleet(ctx: StoreCtx): Promise<string> {
  return ctx.db.transaction(async (tx) => {
    const inner = { ...ctx, db: tx };
    await tx.execute(sql`lock table ${fleet} in share row exclusive mode`);
    const { kid: first } = await keyOf(ctx.secrets.firstTaskKey);
    await tx.insert(fleet).values({ identity: first }).onConflictDoNothing();
    const [row] = await tx.select().from(fleet);
    if (row!.identity !== first) throw otherSecret();
    if ((await readRows(inner)).length === 0)
      await insertKey(inner, { seed: ctx.secrets.firstTaskKey, leadBy: 0 });
    return first;
  });
}

/**
 * Opens each stored key, and answers what they are. @throws AppError `conflict` where the secret is not
 * this database's, `internal` where a key was damaged.
 */
export async function openKeys(ctx: StoreCtx): Promise<TaskKey[]> {
  const [row] = await ctx.db.select({ identity: fleet.identity }).from(fleet);
  const { kid: first } = await keyOf(ctx.secrets.firstTaskKey);
  if (row!.identity !== first) throw otherSecret();
  for (const { kid, privateKey } of await readRows(ctx))
    await decryptAtRest(ctx.secrets, { encrypted: privateKey, owner: owner(kid) });
  return readTaskKeys(ctx);
}

/** The key in use: the newest that is usable, or the first while the clock says that none is. */
const current = (rows: Row[]) => rows.findLast(({ usable }) => usable) ?? rows[0]!;

/** Signs tokens, as many as are wanted, with one key. */
export type TaskSigner = (input: { type: string; token: SignJWT }) => Promise<string>;

async function signerOf(ctx: KeyCtx, { row }: { row: Row }): Promise<TaskSigner> {
  const d = await decryptAtRest(ctx.secrets, { encrypted: row.privateKey, owner: owner(row.kid) });
  const key = await importJWK({ kty: "OKP", crv: "Ed25519", x: row.x, d }, signatureAlgorithm);
  return ({ type, token }) =>
    token.setProtectedHeader({ alg: signatureAlgorithm, typ: type, kid: row.kid }).sign(key);
}

// Shared readings are seconds old: a key is published long before it is used, and kept long after.

/** What signs with the key in use. */
export const openTaskSigner = (ctx: KeyCtx & Pick<Ctx, "share">): Promise<TaskSigner> =>
  ctx.share("task signer", async () => signerOf(ctx, { row: current(await readRows(ctx)) }));

/** Thumbprint (RFC 7638) of the key in use. */
export async function fingerprint(ctx: Pick<Ctx, "db" | "now">): Promise<string> {
  return current(await readRows(ctx)).kid;
}

/**
 * What signs with the key of that thumbprint, in use or replaced, and its public part; null where there
 * is no such key any more.
 */
export async function openSignerOf(ctx: KeyCtx, { kid }: { kid: string }) {
  const row = (await readRows(ctx)).find((each) => each.kid === kid);
  if (!row) return null;
  const key = { kty: "OKP" as const, crv: "Ed25519" as const, x: row.x };
  return { sign: await signerOf(ctx, { row }), key };
}

const publicKeys = (ctx: Pick<Ctx, "db" | "now" | "share">) =>
  ctx.share("public task keys", async () => {
    const keys = (await readRows(ctx)).map(
      async ({ kid, x }) =>
        [kid, await importJWK({ kty: "OKP", crv: "Ed25519", x }, signatureAlgorithm)] as const,
    );
    return new Map(await Promise.all(keys));
  });

/** The public key of a kid that this fleet's keys have, or had. @throws AppError `not-authenticated`. */
export async function taskKeyOf(
  ctx: Pick<Ctx, "db" | "now" | "share">,
  { kid }: { kid: string | undefined },
) {
  const key = (await publicKeys(ctx)).get(kid ?? "");
  if (!key) throw new AppError("not-authenticated", "the token is not signed by this fleet");
  return key;
}

const jwkOf = ({ kid, x }: { kid: string; x: string }) => ({
  kty: "OKP" as const,
  crv: "Ed25519" as const,
  x,
  kid,
  alg: signatureAlgorithm,
  use: "sig",
});

/** The keys that agents pin: the one in use, one to come, and one that was replaced a moment ago. */
export async function pinnedKeys(ctx: Pick<Ctx, "db" | "now">) {
  const rows = await ctx.db
    .select({
      kid: taskKeys.kid,
      x: taskKeys.x,
      until: sql<boolean>`lead(${taskKeys.usableFrom}) over (order by ${taskKeys.usableFrom}) + ${pinnedSeconds} * interval '1 second' < ${ctx.now()}`,
    })
    .from(taskKeys)
    .orderBy(asc(taskKeys.usableFrom));
  const keys = rows.filter(({ until }) => !until).map(jwkOf);
  return { keys };
}

/** Changes when the pinned keys do. */
export const pinnedKeysVersion = (ctx: Pick<Ctx, "db" | "now" | "share">): Promise<string> =>
  ctx.share("version of the pinned keys", async () => {
    const { keys } = await pinnedKeys(ctx);
    const kids = keys.map(({ kid }) => kid).join(" ");
    return createHash("sha256").update(kids).digest("base64url");
  });

/**
 * The keys to pin, signed with the newest key that the agent has pinned already: the chain of trust
 * that began at its enrolment. @throws AppError `conflict` where it has none that is known any more.
 */
export async function vouchedKeys(
  ctx: KeyCtx,
  { hostId, pinned }: { hostId: string; pinned: string[] },
): Promise<string> {
  const row = (await readRows(ctx)).findLast(({ kid }) => pinned.includes(kid));
  if (!row)
    throw new AppError(
      "conflict",
      "none of the keys that this host has pinned is known any more: invite it again",
    );
  const sign = await signerOf(ctx, { row });
  return sign({
    type: tokenTypes.keys,
    token: new SignJWT({ jwks: await pinnedKeys(ctx) })
      .setIssuer(ctx.secrets.fleet)
      .setAudience(hostId)
      .setIssuedAt()
      .setExpirationTime("5m"),
  });
}

/** The task keys, as operators see them. */
export async function readTaskKeys(ctx: Pick<Ctx, "db" | "now">): Promise<TaskKey[]> {
  const rows = await readRows(ctx);
  const inUse = current(rows).kid;
  return rows.map((row) => ({
    kid: row.kid,
    state: row.kid === inUse ? "in use" : row.usable ? "replaced" : "to come",
    createdAt: row.createdAt.toISOString(),
    usableFrom: row.usableFrom.toISOString(),
  }));
}

/**
 * Makes a new task key: published now, used ten minutes later; the old one is kept until its last order
 * has expired. Agents follow without enrolling again. @throws AppError `conflict` while one is to come.
 */
export async function rotateTaskKeys(ctx: KeyCtx): Promise<TaskKey[]> {
  await ctx.db.execute(sql`lock table ${taskKeys} in share row exclusive mode`);
  const [pending] = await ctx.db
    .select({ kid: taskKeys.kid })
    .from(taskKeys)
    .where(gt(taskKeys.usableFrom, sql`${ctx.now()}`));
  if (pending)
    throw new AppError("conflict", "a new task key is published already, and not in use yet");
  await insertKey(ctx, { seed: randomBytes(32), leadBy: leadSeconds });
  await ctx.db.execute(sql`
    delete from task_keys where usable_from < (
      select max(usable_from) from task_keys
      where usable_from < ${ctx.now()} - ${keptSeconds} * interval '1 second')`);
  return readTaskKeys(ctx);
}
