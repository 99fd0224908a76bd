import { z } from "zod";

const text = (max: number) =>
  z
    .string()
    .max(max)
    .regex(/^[^\p{Cc}]*$/u, "must not hold control characters");
const webUrl = z
  .url({ protocol: /^https?$/, error: 'must be a URL: for example "https://mirrors.example.org"' })
  .max(500);
/** An address, or a path below `url`. */
const reference = text(500).regex(
  /^(https?:\/\/|mailto:|\/)/,
  'must begin with "https://", "http://", "mailto:" or "/"',
);

/** Who runs the mirror, as mirrorz.json 1.7 has it. */
export const siteSchema = z.strictObject({
  url: webUrl.meta({ description: "Where the mirror is: projects' paths lie below it" }),
  abbr: z
    .string()
    .regex(/^[A-Za-z0-9._-]{1,30}$/, "must be 1 to 30 letters, digits or ._-")
    .meta({ description: "Short name" }),
  name: text(200).optional(),
  homepage: webUrl.optional(),
  logo: reference.optional(),
  logo_darkmode: reference.optional(),
  issue: reference.optional().meta({ description: "Where to report problems" }),
  request: reference.optional().meta({ description: "Where to ask for a mirror" }),
  email: z.email().optional(),
  group: text(200).optional(),
  disk: text(200).optional(),
  note: text(2000).optional(),
  big: reference.optional().meta({ description: "Path of a large file, to measure with" }),
  disable: z.boolean().optional().meta({ description: "Not to be offered to users now" }),
});
export type Site = z.infer<typeof siteSchema>;

/** Answer to `GET /v1/public/status`. */
export const publicStatusSchema = z.object({
  site: siteSchema.nullable(),
  paused: z.boolean().meta({ description: "Nothing syncs in the whole fleet" }),
  projects: z.array(
    z.object({
      name: z.string(),
      description: z.string(),
      path: z.string(),
      upstream: z.string().nullable().meta({ description: "null: hosted here" }),
      state: z.enum(["none", "waiting", "syncing", "succeeded", "failed", "paused"]).meta({
        description: "Of its pull from the upstream",
      }),
      bytes: z.int().nullable().meta({ description: "Of the last scan; null: none yet" }),
      files: z.int().nullable(),
      updatedAt: z.iso.datetime().nullable().meta({ description: "End of the last success" }),
      startedAt: z.iso.datetime().nullable(),
      endedAt: z.iso.datetime().nullable(),
      nextAt: z.iso.datetime().nullable(),
      withinSeconds: z.int().meta({ description: "Age up to which a copy is fresh" }),
      hosts: z.array(
        z.object({
          host: z.string(),
          fresh: z.boolean(),
          freshAt: z.iso
            .datetime()
            .nullable()
            .meta({ description: "When it last equalled its source, to the minute" }),
        }),
      ),
    }),
  ),
});
export type PublicStatus = z.infer<typeof publicStatusSchema>;
