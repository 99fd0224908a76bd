import { agentOperations } from "./agent.ts";
import { alertOperations } from "./alerts.ts";
import { fleetOperations } from "./fleet.ts";
import { healthOperations } from "./health.ts";
import { hostOperations } from "./hosts.ts";
import { joiningOperations } from "./joining.ts";
import { keyOperations } from "./keys.ts";
import { metricsOperations } from "./metrics.ts";
import type { Operation } from "./operation.ts";
import { projectOperations } from "./projects.ts";
import { publicHealthOperations } from "./public-health.ts";
import { publicStatusOperations } from "./public-status.ts";
import { replicaOperations } from "./replicas.ts";
import { runOperations } from "./runs.ts";
import { schedulePreviewOperations } from "./schedule-preview.ts";
import { settingsOperations } from "./settings.ts";
import { taskReportOperations } from "./task-reports.ts";
import { taskOperations } from "./tasks.ts";
import { tokenOperations } from "./tokens.ts";

/** Every operation of the HTTP interface, in the order of its documentation. */
export const operations: Operation[] = [
  ...projectOperations,
  ...schedulePreviewOperations,
  ...replicaOperations,
  ...hostOperations,
  ...runOperations,
  ...taskOperations,
  ...fleetOperations,
  ...settingsOperations,
  ...alertOperations,
  ...tokenOperations,
  ...keyOperations,
  ...agentOperations,
  ...taskReportOperations,
  ...metricsOperations,
  ...publicStatusOperations,
  ...publicHealthOperations,
  ...joiningOperations,
  ...healthOperations,
];
