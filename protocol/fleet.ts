import { z } from "zod";
import { roleSchema } from "./host.ts";
import { instanceSchema } from "./instance.ts";
import { instant } from "./instant.ts";
import { hostAddress, hostName, moduleName, port, projectName, rootPath } from "./names.ts";
import { sha256 } from "./rsync.ts";

const count = z.int().min(0);

/** A public key as JWK (RFC 8037): Ed25519 signs, X25519 opens what is sealed. */
const publicKey = <Curve extends string>(crv: Curve) =>
  z.strictObject({
    kty: z.literal("OKP"),
    crv: z.literal(crv),
    x: z.string().regex(/^[A-Za-z0-9_-]{43}$/, "must be 32 bytes in base64url"),
  });
export const signingKeySchema = publicKey("Ed25519");
export const sealingKeySchema = publicKey("X25519");
export type SigningKey = z.infer<typeof signingKeySchema>;
export type SealingKey = z.infer<typeof sealingKeySchema>;

/** A mirror root of a host; on a master with the module of its rsync daemon that serves it. */
const rootSchema = z.strictObject({ path: rootPath, module: moduleName.nullable() });
export type Root = z.infer<typeof rootSchema>;

/** Body of `POST /v1/enrol`, as agents of protocol 1 enrol: the token itself is sent. */
export const enrolSchema = z.strictObject({
  token: z.string().min(1).max(200),
  signingKey: signingKeySchema,
  sealingKey: sealingKeySchema,
});

/** Public task keys (RFC 7517), of which at least one. */
export const jwksSchema = z.object({
  keys: z
    .array(
      z.looseObject({
        kty: z.literal("OKP"),
        crv: z.literal("Ed25519"),
        x: z.string(),
        kid: z.string(),
      }),
    )
    .min(1),
});

/** Body of `POST /v1/agent/task-keys`: the keys that the agent has pinned. */
export const pinnedSchema = z.strictObject({ pinned: z.array(z.string().max(100)).max(100) });

/** Answer to an enrolment: who the agent is, and whose orders it takes from now on. */
export const enrolAnswerSchema = z.object({
  hostId: z.uuid(),
  host: hostName,
  roles: z.array(roleSchema),
  /** Identity of the fleet: audience of the agent's requests and issuer of its orders. */
  fleet: z.string(),
  /** Task keys to pin. */
  jwks: jwksSchema,
});
export type EnrolAnswer = z.infer<typeof enrolAnswerSchema>;

/** What an agent looks up of its machine: at most once a minute, and never while it waits for it. */
const hostFactsSchema = z.strictObject({
  rsyncVersion: z.string().max(50).nullable(),
  /** Room in the file systems of the mirror roots; without those that did not answer. */
  roots: z
    .array(
      z.strictObject({
        path: rootPath,
        totalBytes: count,
        freeBytes: count,
        /** 0 where the file system has no fixed number of them. */
        totalInodes: count,
        freeInodes: count,
      }),
    )
    .max(32),
  /** Days for which deleted files wait in its quarantines; 0: it has none; absent: of an agent before number 2. */
  quarantineDays: z.int().min(0).max(3650).optional(),
  /** A sign that it takes sources that name a key; left out by agents before that. */
  tls: z
    .strictObject({
      /** Of the key that its own rsync daemon shows; null: there is none, or it is for plain rsync. */
      daemonKeySha256: sha256.nullable(),
    })
    .optional(),
});
export type HostFacts = z.infer<typeof hostFactsSchema>;

/** Body of `POST /v1/agent/poll`. */
export const pollSchema = z.strictObject({
  /** Chosen by the agent; a repeated id returns the same lease. */
  pollId: z.uuid(),
  agentVersion: z.string().max(50),
  /** Seconds that the agent is ready to wait. */
  waitSeconds: z.int().min(0).max(60),
  /** Version of the daemon users that the agent has; answered at once when it differs. */
  daemonUsersVersion: z.string().max(100).nullable(),
  /** Port of the rsync daemon that a master runs; null elsewhere. */
  daemonPort: port.nullable(),
  /** Mirror roots with symlinks resolved; the first is where projects go by default. */
  roots: z.array(rootSchema).min(1).max(32),
  /** Version of the standing orders that the agent has; null: none yet; absent: it wants none. */
  standingVersion: z.string().max(100).nullable().optional(),
  /** Projects that it works on by standing orders now: it cannot take tasks of theirs. */
  busy: z.array(projectName).max(1000).default([]),
  /** Where they are news. */
  facts: hostFactsSchema.optional(),
  /** The host's clock. */
  clock: instant.optional(),
  /** The process that polls; absent of agents of protocol 1. */
  instance: instanceSchema.optional(),
  /** What the answer to its last poll asked for. */
  confirm: z.uuid().optional(),
});
export type Poll = z.infer<typeof pollSchema>;

/** Answer to a poll: a lease, or none. */
export const pollAnswerSchema = z.object({
  lease: z
    .object({
      /** Task order, a JWS. */
      order: z.string(),
      /** Task token, a JWS: authorises the reports on this attempt. */
      taskToken: z.string(),
      leaseSeconds: z.int(),
      /** Seconds to the first heartbeat; the agent moves each by up to a fifth. */
      heartbeatSeconds: z.number().positive(),
    })
    .nullable(),
  /** Ids of this host's tasks that an operator cancelled and that still run. */
  cancelled: z.array(z.uuid()),
  /** Differs from the agent's: fetch `GET /v1/agent/daemon-users`. */
  daemonUsersVersion: z.string().nullable(),
  /** Differs from that of the pinned task keys: fetch `POST /v1/agent/task-keys`. */
  keysVersion: z.string(),
  /** Differs from the agent's: fetch `GET /v1/agent/standing-orders`. */
  standingVersion: z.string().nullable(),
  /** Seconds to wait before the next poll, unless this one brought a lease; left out: none. */
  pauseSeconds: z.int().min(0).max(600).optional(),
  /** Another process was this host's agent before: say this with the next poll, at once, to take over. */
  confirm: z.uuid().optional(),
  /** The control plane's clock: agents measure theirs against it. */
  time: z.iso.datetime(),
});
export type PollAnswer = z.infer<typeof pollAnswerSchema>;

/** Who may pull from a master's rsync daemon. `sealedPassword` is a JWE to the master's sealing key. */
export const daemonUsersSchema = z.object({
  version: z.string(),
  /** Hosts that may pull at a time; null: all. */
  serves: z.int().nullable(),
  users: z.array(
    z.object({ name: hostName, sealedPassword: z.string(), addresses: z.array(hostAddress) }),
  ),
});
export type DaemonUsers = z.infer<typeof daemonUsersSchema>;
