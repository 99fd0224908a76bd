import { z } from "zod";
import { hostAddress, hostName } from "./names.ts";
import { pageQuery } from "./paging.ts";
import { labelsSchema } from "./project.ts";

const roles = ["master", "ftp"] as const;
export const roleSchema = z.enum(roles);
export type Role = z.infer<typeof roleSchema>;

const addressesSchema = z
  .array(hostAddress)
  .min(1, "must name at least one address: the master's rsync daemon admits only these")
  .max(32)
  .meta({ description: "Under which the fleet's other hosts see this one" });

const parallelSchema = z
  .int()
  .min(1)
  .max(64)
  .nullable()
  .meta({ description: "Tasks at a time on this host; null: what its agent is set to" });

const servesSchema = z
  .int()
  .min(1)
  .max(1000)
  .nullable()
  .meta({ description: "FTP hosts that may pull from this master at a time; null: all" });

/** Body of `POST /v1/hosts`: makes a host and its first enrolment token. */
export const hostCreateSchema = z
  .strictObject({
    name: hostName,
    roles: z.array(roleSchema).min(1, 'must name at least one role: "master" or "ftp"').max(2),
    addresses: addressesSchema,
    labels: labelsSchema.default({}),
    parallel: parallelSchema.default(null),
    serves: servesSchema.default(null),
  })
  .superRefine(({ roles: chosen, addresses }, issues) => {
    if (new Set(chosen).size !== chosen.length)
      issues.addIssue({ code: "custom", path: ["roles"], message: "must not repeat a role" });
    if (chosen.includes("master") && addresses[0]?.includes("/")) {
      issues.addIssue({
        code: "custom",
        path: ["addresses", 0],
        message:
          "of a master must be an IP address or a DNS name, not a range: the FTP hosts pull from it",
      });
    }
  });
export type HostCreate = z.output<typeof hostCreateSchema>;

/** Body of `PATCH /v1/hosts/{name}`. */
export const hostPatchSchema = z.strictObject({
  addresses: addressesSchema.optional(),
  labels: z
    .record(z.string(), z.string().nullable())
    .optional()
    .meta({ description: "Merged into those it has; null takes a label away" }),
  parallel: parallelSchema.optional(),
  serves: servesSchema.optional(),
});

/** Body of `POST /v1/hosts/{name}/drain`. */
export const hostDrainSchema = z.strictObject({
  cancelRunning: z.boolean().default(false).meta({
    description:
      "Also end what runs on it now, and cancel what waits for it; else what runs finishes, and what waits goes on after its resume",
  }),
});

/** Query of `GET /v1/hosts`. */
export const hostsQuerySchema = z.strictObject({
  role: roleSchema.optional(),
  ...pageQuery,
});

/** A host, as operators see it. */
export const hostSchema = z.object({
  id: z.uuid(),
  name: z.string(),
  roles: z.array(roleSchema),
  addresses: z.array(z.string()),
  labels: z.record(z.string(), z.string()),
  parallel: z.int().nullable(),
  serves: z.int().nullable(),
  state: z.enum(["invited", "enrolled", "quarantined", "revoked"]),
  quarantine: z.object({ since: z.iso.datetime(), reason: z.string() }).nullable().meta({
    description:
      "Its key is in use on two machines: it is given no tasks until it is released, or joins again",
  }),
  drained: z.boolean().meta({ description: "It is given no new tasks" }),
  runningTasks: z.int(),
  roots: z.array(z.string()).meta({ description: "Its mirror roots, the default first" }),
  agentVersion: z.string().nullable(),
  rsyncVersion: z.string().nullable(),
  daemon: z
    .object({
      port: z.int(),
      keySha256: z.string().nullable().meta({
        description:
          "SHA-256 (of the SPKI, hex) of the key that it shows in TLS; null: plain rsync",
      }),
    })
    .nullable()
    .meta({ description: "A master's rsync daemon" }),
  disks: z
    .array(
      z.object({
        path: z.string(),
        totalBytes: z.int(),
        freeBytes: z.int().meta({ description: "For the agent's user" }),
        totalInodes: z.int().meta({ description: "0: no fixed number of them" }),
        freeInodes: z.int(),
        fullAt: z.iso.datetime().nullable().meta({
          description:
            "When nothing will be free if it goes on as in the last 30 days; null: not within two years, or not known yet",
        }),
      }),
    )
    .meta({ description: "Room below its mirror roots; without a root that does not answer" }),
  quarantineDays: z.int().nullable().meta({
    description:
      "Days for which deleted files wait in its quarantine; 0: it has none; null: its agent has not said",
  }),
  clockSkewSeconds: z
    .number()
    .nullable()
    .meta({ description: "How far its clock is ahead of the database's" }),
  factsAt: z.iso
    .datetime()
    .nullable()
    .meta({ description: "When its agent said so last: about once a minute" }),
  lastSeenAt: z.iso.datetime().nullable(),
  inContact: z.boolean().meta({ description: "Its agent polled within the last 90 seconds" }),
  createdAt: z.iso.datetime(),
});
export type Host = z.infer<typeof hostSchema>;

/** An enrolment token: shown once, used once. */
const enrolmentTokenSchema = z.object({ token: z.string(), expiresAt: z.iso.datetime() });

const joiningSchema = z.object({
  scriptSha256: z
    .string()
    .nullable()
    .meta({ description: "Checksum of `GET /v1/public/join.sh`; null: there is none" }),
  why: z.string().nullable().meta({ description: "Why there is none" }),
  sources: z
    .array(z.string())
    .meta({ description: "Where an FTP host pulls from: the fleet's masters" }),
});
export type Joining = z.infer<typeof joiningSchema>;

export const hostInviteSchema = z.object({
  host: hostSchema,
  enrolment: enrolmentTokenSchema,
  joining: joiningSchema.meta({ description: "What the line for the host is made of" }),
});
export type HostInvite = z.infer<typeof hostInviteSchema>;
