import { z } from "zod";
import { projectName, relativePath, rootPath } from "./names.ts";
import { rsyncLimitsSchema, rsyncOptionsSchema, sourceSchema } from "./rsync.ts";
import { traceSchema } from "./trace.ts";

/** `typ` header of each kind of token: one kind is never taken for another (RFC 8725 §3.11). */
export const tokenTypes = {
  order: "mirrorfleet-order+jwt",
  task: "mirrorfleet-task+jwt",
  agent: "mirrorfleet-agent+jwt",
  keys: "mirrorfleet-keys+jwt",
  join: "mirrorfleet-join+jwt",
  joined: "mirrorfleet-joined+jwt",
  standing: "mirrorfleet-standing+jwt",
} as const;

/** The one signature algorithm, on both sides (RFC 8037). */
export const signatureAlgorithm = "EdDSA";

/** One rsync of a task: the first of its sources that can be reached, into one directory. */
const stepSchema = z.strictObject({
  sources: z
    .array(
      z.strictObject({
        source: sourceSchema,
        /** The source's password as a JWE to the agent's sealing key; null: it asks for none. */
        sealedPassword: z.string().max(4096).nullable(),
      }),
    )
    .min(1)
    .max(11),
  /** Below the mirror root. */
  destination: relativePath,
  /** Small file of the source that changes when its tree does; null: the tree is scanned each time. */
  sentinel: relativePath.nullable(),
});
export type Step = z.infer<typeof stepSchema>;

const generation = z.int().min(1);

/** What an FTP host brings its tree to. */
const carrySchema = z.strictObject({
  generation,
  /** Change lists that lead from the generation that it carries to this one; null: scan. */
  lists: z
    .array(z.strictObject({ generation, digest: z.string().regex(/^[0-9a-f]{64}$/) }))
    .max(100)
    .nullable(),
  /** Generation that the lists begin after. */
  from: z.int().min(0),
  /** Entries of the master's tree: the lists' deletions are measured against them. */
  files: z.int().min(0),
  /** Scan even so: what that changes is drift. */
  reconcile: z.boolean(),
});
export type Carry = z.infer<typeof carrySchema>;

/** What a task order tells the agent to do: rsyncs in this order. */
export const syncSpecSchema = z.strictObject({
  project: projectName,
  /** The project's place below the mirror root, where its steps go. */
  path: relativePath,
  /** Mirror root of the host; null: its first. */
  root: rootPath.nullable(),
  steps: z.array(stepSchema).min(1).max(20),
  options: rsyncOptionsSchema,
  limits: rsyncLimitsSchema,
  /** Scan whatever the sentinels say when the last scan is as many seconds ago; 0: in any case. */
  scanEverySeconds: z
    .int()
    .min(0)
    .max(366 * 86_400),
  /** Of a pull from an upstream: the generation that its changes make. */
  publish: generation.nullable(),
  /** Of a pull from the master. */
  carry: carrySchema.nullable(),
  /**
   * Instead of pulling, bring back what the last deletions of this host took from the project. Names the
   * run: tried again, it means the same deletions. null: pull.
   */
  undo: z.uuid().nullable(),
  /** Only list what a pull would do; left out: do it. Agents that do not know of it refuse the order. */
  dryRun: z.literal(true).optional(),
  /** File that the host leaves in the tree after a success; left out: none, as agents before it have it. */
  trace: traceSchema.optional(),
});
export type SyncSpec = z.infer<typeof syncSpecSchema>;

/** Claims of a task order. `aud` is the host's id, `sub` the task's, `exp` the latest start. */
export const orderClaimsSchema = z.object({
  iss: z.string(),
  aud: z.string(),
  sub: z.uuid(),
  jti: z.string().min(1).max(100),
  iat: z.int(),
  exp: z.int(),
  attempt: z.int().min(1),
  sync: syncSpecSchema,
});
export type OrderClaims = z.infer<typeof orderClaimsSchema>;

/** Claims of a task token: authorises progress, log and result of one attempt, nothing else. */
export const taskTokenClaimsSchema = z.object({
  iss: z.string(),
  aud: z.string(),
  sub: z.uuid(),
  host: z.uuid(),
  attempt: z.int().min(1),
  /** The lease: after a restore, an attempt's number may be given a second time. */
  lease: z.uuid().optional(),
  iat: z.int(),
  exp: z.int(),
});
export type TaskTokenClaims = z.infer<typeof taskTokenClaimsSchema>;

/** Claims of an agent's request token, bound to one method, path and body. */
export const agentTokenClaimsSchema = z.object({
  iss: z.uuid(),
  aud: z.string(),
  iat: z.int(),
  exp: z.int(),
  jti: z.string().min(8).max(100),
  /** HTTP method. */
  htm: z.string(),
  /** Path of the request with its query. */
  htu: z.string(),
  /** SHA-256 of the body, base64url. */
  bsh: z.string(),
});

/** Seconds that an agent's clock may differ from the control plane's. */
export const clockToleranceSeconds = 60;
