import { z } from "zod";
import { instant } from "./instant.ts";
import { hostName, projectName } from "./names.ts";
import { pageQuery, queryFlag } from "./paging.ts";

/** What an alert can be about. */
export const alertConditions = [
  "failed",
  "stale",
  "out-of-contact",
  "held",
  "disk",
  "no-progress",
  "cloned",
] as const;
export type AlertCondition = (typeof alertConditions)[number];

const conditionSchema = z.enum(alertConditions);

/** Something that is wrong, or was: of a project, a host, or one on the other. */
export const alertSchema = z.object({
  id: z.uuid(),
  condition: conditionSchema,
  project: z.string().nullable(),
  host: z.string().nullable(),
  root: z.string().nullable().meta({ description: "With `disk`: the mirror root" }),
  detail: z.string().meta({ description: "For people; may hold words of an upstream or a host" }),
  openedAt: z.iso.datetime(),
  closedAt: z.iso.datetime().nullable().meta({ description: "null: it goes on" }),
});
export type Alert = z.infer<typeof alertSchema>;

/** Query of `GET /v1/alerts`. */
export const alertsQuerySchema = z.strictObject({
  open: queryFlag.optional().meta({ description: "Those that go on, or those that are over" }),
  condition: conditionSchema.optional(),
  project: projectName.optional(),
  host: hostName.optional(),
  ...pageQuery,
});

/** Where messages can go. */
export const receiverKinds = ["webhook", "slack", "mattermost", "matrix", "email"] as const;
export type ReceiverKind = (typeof receiverKinds)[number];

/** What the messages of a receiver tell: that something began, ended, or goes on; or nothing but that they arrive. */
export type MessageKind = "opened" | "closed" | "reminder" | "test";

const receiverName = z
  .string()
  .regex(
    /^[a-z0-9][a-z0-9._-]{0,62}$/,
    'must be 1 to 63 characters of a-z, 0-9, ".", "_" or "-" and begin with a letter or digit: for example "on-call"',
  );

const fields = {
  url: z.string().max(2000).meta({
    description:
      "Write only, of which answers show the host: of a webhook (Slack's and Mattermost's hold their secret), of a Matrix homeserver, or `smtp://` or `smtps://` with user and password",
  }),
  secret: z
    .string()
    .min(1)
    .max(1000)
    .regex(/^[\x21-\x7e]+$/, "must be printable characters without spaces")
    .nullable()
    .meta({
      description:
        "Write only. Of a webhook the signing secret (`whsec_` and base64 of 24 to 64 bytes); of Matrix the access token",
    }),
  room: z
    .string()
    .regex(/^![\x21-\x7e]{1,254}$/, 'must be the id of a room: for example "!abc:example.org"')
    .nullable()
    .meta({ description: "Matrix alone" }),
  from: z.email().max(320).nullable().meta({ description: "E-mail alone: the sender's address" }),
  to: z.array(z.email().max(320)).max(50).meta({ description: "E-mail alone" }),
  conditions: z
    .array(conditionSchema)
    .min(1, "must name at least one condition")
    .max(50)
    .meta({ description: "What it is told of" }),
  projects: z
    .array(projectName)
    .max(1000)
    .nullable()
    .meta({ description: "It is told of these alone; null: of all, and of hosts" }),
  hosts: z
    .array(hostName)
    .max(1000)
    .nullable()
    .meta({ description: "It is told of what is on these alone; null: of all" }),
  remindHours: z
    .int()
    .min(1)
    .max(8760)
    .nullable()
    .meta({ description: "What goes on is told again as often; null: never" }),
};

/** Body of `POST /v1/alert-receivers`. */
export const receiverCreateSchema = z.strictObject({
  name: receiverName,
  kind: z.enum(receiverKinds),
  url: fields.url,
  secret: fields.secret.default(null),
  room: fields.room.default(null),
  from: fields.from.default(null),
  to: fields.to.default([]),
  conditions: fields.conditions.default([...alertConditions]),
  projects: fields.projects.default(null),
  hosts: fields.hosts.default(null),
  remindHours: fields.remindHours.default(24),
});
export type ReceiverCreate = z.output<typeof receiverCreateSchema>;

/** Body of `PATCH /v1/alert-receivers/{name}`; what is not named stays. */
export const receiverPatchSchema = z.strictObject({
  url: fields.url.optional(),
  secret: fields.secret.optional(),
  room: fields.room.optional(),
  from: fields.from.optional(),
  to: fields.to.optional(),
  conditions: fields.conditions.optional(),
  projects: fields.projects.optional(),
  hosts: fields.hosts.optional(),
  remindHours: fields.remindHours.optional(),
});

/** Body of `POST /v1/alert-receivers/{name}/silence`. */
export const silenceSchema = z.strictObject({
  until: instant.nullable().meta({
    description: "It is told nothing before; what began meanwhile and goes on then. null: no more",
  }),
});

/** A receiver, as it can be read. */
export const receiverSchema = z.object({
  name: z.string(),
  kind: z.enum(receiverKinds),
  address: z.string().meta({ description: "Scheme and host of its URL" }),
  room: z.string().nullable(),
  from: z.string().nullable(),
  to: z.array(z.string()),
  conditions: z.array(conditionSchema),
  projects: z.array(z.string()).nullable(),
  hosts: z.array(z.string()).nullable(),
  remindHours: z.int().nullable(),
  silencedUntil: z.iso.datetime().nullable(),
  waitingMessages: z.int().meta({ description: "That could not be delivered yet" }),
  lastError: z.string().nullable().meta({ description: "Why the first of these could not" }),
  lastDeliveredAt: z.iso.datetime().nullable(),
  createdAt: z.iso.datetime(),
});
export type Receiver = z.infer<typeof receiverSchema>;

/** Answer to a test. */
export const receiverTestSchema = z.object({
  delivered: z.boolean(),
  error: z.string().nullable().meta({ description: "Why it was not" }),
});
