import { previewQuerySchema, previewSchema } from "../../protocol/schedule.ts";
import { previewSchedule } from "../schedule/preview.ts";
import { type Operation, read } from "./operation.ts";

/** What a schedule would do. */
export const schedulePreviewOperations: Operation[] = [
  read(
    {
      id: "previewSchedule",
      method: "GET",
      path: "/v1/schedule-preview",
      tag: "projects",
      access: "viewer",
      summary: "The next occurrences of a cron expression in a zone",
      query: previewQuerySchema,
      answer: previewSchema,
    },
    async (_, { query }) =>
      previewSchedule({ ...query, after: query.after ? new Date(query.after) : new Date() }),
  ),
];
