import { z } from "zod";
import { instant } from "./instant.ts";
import { queryNumber } from "./paging.ts";

const days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"] as const;

const timeOfDay = z
  .string()
  .regex(/^([01]\d|2[0-3]):[0-5]\d$/, 'must be a time of day from "00:00" to "23:59"');

/** A part of the day in the project's zone; one that ends before it begins goes over midnight. */
export const timeWindowSchema = z
  .strictObject({
    from: timeOfDay,
    to: timeOfDay,
    days: z
      .array(z.enum(days))
      .min(1, "must name at least one day")
      .max(7)
      .default([...days])
      .meta({ description: "Days on which the window begins" }),
  })
  .refine(({ from, to }) => from !== to, "must not begin and end at the same time");
export type TimeWindow = z.output<typeof timeWindowSchema>;

/** What a schedule consists of; part of a project. */
export const scheduleFields = {
  schedule: z.string().max(200).nullable().default(null).meta({
    description: "Cron expression of 5 fields, or 6 with seconds first; null: only when triggered",
  }),
  zone: z.string().max(100).default("UTC").meta({ description: "IANA time zone of the schedule" }),
  startsAt: instant
    .nullable()
    .default(null)
    .meta({ description: "The schedule does not fire before this time" }),
  endsAt: instant
    .nullable()
    .default(null)
    .meta({ description: "The schedule does not fire after this time" }),
  splaySeconds: z.int().min(0).max(86_400).default(0).meta({
    description:
      "Each occurrence is moved by a fixed share of this, derived from the project's name, so that projects with one schedule do not start at one second",
  }),
  quiet: z
    .array(timeWindowSchema)
    .max(20)
    .default([])
    .meta({ description: "Times in which no scheduled run starts: it waits for the window's end" }),
};

/** Query of `GET /v1/schedule-preview`. */
export const previewQuerySchema = z.strictObject({
  schedule: z.string().min(1).max(200),
  zone: scheduleFields.zone,
  count: queryNumber({ min: 1, max: 100 }).default(10),
  after: instant.optional().meta({ description: "First possible time; default: now" }),
});

export const previewSchema = z.object({
  zone: z.string(),
  occurrences: z.array(
    z.object({
      at: z.iso.datetime(),
      local: z.string().meta({ description: "In the zone, with its offset from UTC" }),
      note: z.string().nullable().meta({ description: "What a change of the clocks does to it" }),
    }),
  ),
});
export type Preview = z.infer<typeof previewSchema>;
