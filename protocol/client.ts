import { z } from "zod";
import {
  alertSchema,
  type receiverCreateSchema,
  type receiverPatchSchema,
  receiverSchema,
  receiverTestSchema,
} from "./alert.ts";
import { parse } from "./errors.ts";
import { fleetPlanSchema } from "./fleet-file.ts";
import {
  type hostCreateSchema,
  type hostDrainSchema,
  hostInviteSchema,
  type hostPatchSchema,
  hostSchema,
} from "./host.ts";
import { pageOf } from "./paging.ts";
import { type ProjectCreate, projectSchema, replicaSchema } from "./project.ts";
import {
  runDetailSchema,
  runSchema,
  type syncSchema,
  taskDetailSchema,
  taskSchema,
} from "./run.ts";
import { previewSchema } from "./schedule.ts";
import { fromJson, pieces, type Query, type Request, send, unreachable } from "./send.ts";
import {
  auditEventSchema,
  type fleetPauseSchema,
  settingsSchema,
  type settingsPatchSchema,
  statusSchema,
} from "./settings.ts";
import { taskKeysSchema } from "./task-key.ts";
import { operatorTokenSchema, type tokenCreateSchema, tokenCreatedSchema } from "./token.ts";

/** A followed log or an awaited run: the server answers within ten minutes. */
const longSeconds = 660;
const seg = encodeURIComponent;

/** The operator's operations as functions. Every one throws AppError with the answer's code. */
export function createClient(server: { url: string; token: string }) {
  const call = async <Schema extends z.ZodType>(
    schema: Schema,
    request: Request,
  ): Promise<z.output<Schema>> => {
    const response = await send(server, request);
    const text = await response.text().catch((cause: unknown) => {
      throw unreachable(server.url, cause);
    });
    return parse(schema, fromJson(text), `the answer to ${request.method} ${request.path}`);
  };
  const get = <Schema extends z.ZodType>(schema: Schema, path: string, query?: Query) =>
    call(schema, { method: "GET", path, query });
  const post = <Schema extends z.ZodType>(
    schema: Schema,
    path: string,
    body: unknown = {},
    query?: Query,
  ) => call(schema, { method: "POST", path, body, query });
  const list =
    <Schema extends z.ZodType>(path: string, schema: Schema) =>
    (query: Query = {}) =>
      get(pageOf(schema), path, query);
  /** All pages of a list. */
  const all =
    <Schema extends z.ZodType>(path: string, schema: Schema) =>
    async (query: Query = {}): Promise<z.output<Schema>[]> => {
      const items: z.output<Schema>[] = [];
      let cursor: string | undefined;
      do {
        const page = await get(pageOf(schema), path, { limit: 200, ...query, cursor });
        items.push(...page.items);
        cursor = page.nextCursor ?? undefined;
      } while (cursor !== undefined);
      return items;
    };
  const project = (name: string, action = "") => `/v1/projects/${seg(name)}${action}`;
  const replica = (name: string, host: string, action = "") =>
    `${project(name)}/replicas/${seg(host)}${action}`;
  const host = (name: string, action = "") => `/v1/hosts/${seg(name)}${action}`;
  const receiver = (name: string, action = "") => `/v1/alert-receivers/${seg(name)}${action}`;
  const ifMatch = (version: number | undefined) =>
    version === undefined ? undefined : { "if-match": `"${version}"` };
  return {
    listProjects: all("/v1/projects", projectSchema),
    createProject: (input: ProjectCreate) => post(projectSchema, "/v1/projects", input),
    getProject: (name: string) => get(projectSchema, project(name)),
    patchProject: (name: string, patch: Record<string, unknown>, version?: number) =>
      call(projectSchema, {
        method: "PATCH",
        path: project(name),
        body: patch,
        headers: ifMatch(version),
      }),
    replaceProject: (name: string, definition: Record<string, unknown>, version?: number) =>
      call(projectSchema, {
        method: "PUT",
        path: project(name),
        body: definition,
        headers: ifMatch(version),
      }),
    deleteProject: (name: string) => call(projectSchema, { method: "DELETE", path: project(name) }),
    pauseProject: (name: string) => post(projectSchema, project(name, "/pause")),
    resumeProject: (name: string) => post(projectSchema, project(name, "/resume")),
    cloneProject: (name: string, changes: { name: string } & Record<string, unknown>) =>
      post(projectSchema, project(name, "/clone"), changes),
    syncProject: (name: string, input: z.input<typeof syncSchema> = {}) =>
      post(runDetailSchema, project(name, "/sync"), input),
    dryRunProject: (name: string) => post(runDetailSchema, project(name, "/dry-run")),
    undoProject: (name: string) => post(runDetailSchema, project(name, "/undo")),

    listReplicas: all("/v1/replicas", replicaSchema),
    getReplica: (name: string, on: string) => get(replicaSchema, replica(name, on)),
    pauseReplica: (name: string, on: string) => post(replicaSchema, replica(name, on, "/pause")),
    resumeReplica: (name: string, on: string) => post(replicaSchema, replica(name, on, "/resume")),
    moveReplica: (name: string, on: string, root: string | null) =>
      post(runDetailSchema.nullable(), replica(name, on, "/move"), { root }),
    resyncReplica: (name: string, on: string) =>
      post(runDetailSchema, replica(name, on, "/resync")),

    listHosts: all("/v1/hosts", hostSchema),
    createHost: (input: z.input<typeof hostCreateSchema>) =>
      post(hostInviteSchema, "/v1/hosts", input),
    getHost: (name: string) => get(hostSchema, host(name)),
    patchHost: (name: string, body: z.input<typeof hostPatchSchema>) =>
      call(hostSchema, { method: "PATCH", path: host(name), body }),
    drainHost: (name: string, input: z.input<typeof hostDrainSchema> = {}) =>
      post(hostSchema, host(name, "/drain"), input),
    resumeHost: (name: string) => post(hostSchema, host(name, "/resume")),
    inviteHost: (name: string) => post(hostInviteSchema, host(name, "/enrolment-tokens")),
    releaseHost: (name: string) => post(hostSchema, host(name, "/release")),
    uninviteHost: (name: string) =>
      call(z.object({ ended: z.int() }), {
        method: "DELETE",
        path: host(name, "/enrolment-tokens"),
      }),
    revokeHost: (name: string) => post(hostSchema, host(name, "/revoke")),

    listRuns: list("/v1/runs", runSchema),
    getRun: (id: string) => get(runDetailSchema, `/v1/runs/${seg(id)}`),
    cancelRun: (id: string) => post(runDetailSchema, `/v1/runs/${seg(id)}/cancel`),
    retryRun: (id: string) => post(runDetailSchema, `/v1/runs/${seg(id)}/retry`),
    listTasks: list("/v1/tasks", taskSchema),
    getTask: (id: string) => get(taskDetailSchema, `/v1/tasks/${seg(id)}`),
    cancelTask: (id: string) => post(taskDetailSchema, `/v1/tasks/${seg(id)}/cancel`),
    approveTask: (id: string) => post(runDetailSchema, `/v1/tasks/${seg(id)}/approve`),
    dismissTask: (id: string) => post(taskDetailSchema, `/v1/tasks/${seg(id)}/dismiss`),
    retryTask: (id: string) => post(runDetailSchema, `/v1/tasks/${seg(id)}/retry`),
    /** An attempt's log as a stream of bytes; followed, it ends with the attempt. */
    openTaskLog: async (
      id: string,
      query: { attempt?: number; offset?: number; follow?: boolean } = {},
    ): Promise<AsyncIterable<Uint8Array>> => {
      const path = `/v1/tasks/${seg(id)}/log`;
      const { body } = await send(server, { method: "GET", path, query, seconds: longSeconds });
      return pieces(server, body ?? []);
    },

    previewSchedule: (query: { schedule: string; zone?: string; count?: number; after?: string }) =>
      get(previewSchema, "/v1/schedule-preview", query),
    applyFleet: (yaml: string, query: { dryRun?: boolean; prune?: boolean } = {}) =>
      call(fleetPlanSchema, {
        method: "PUT",
        path: "/v1/fleet",
        yaml,
        query,
        seconds: longSeconds,
      }),
    getStatus: () => get(statusSchema, "/v1/status"),
    getSettings: () => get(settingsSchema, "/v1/settings"),
    patchSettings: (body: z.input<typeof settingsPatchSchema>) =>
      call(settingsSchema, { method: "PATCH", path: "/v1/settings", body }),
    pauseFleet: (input: z.input<typeof fleetPauseSchema> = {}) =>
      post(settingsSchema, "/v1/settings/pause", input),
    resumeFleet: () => post(settingsSchema, "/v1/settings/resume"),
    listAuditEvents: list("/v1/audit-events", auditEventSchema),
    listAlerts: list("/v1/alerts", alertSchema),
    listAlertReceivers: async () =>
      (await get(z.object({ items: z.array(receiverSchema) }), "/v1/alert-receivers")).items,
    createAlertReceiver: (input: z.input<typeof receiverCreateSchema>) =>
      post(receiverSchema, "/v1/alert-receivers", input),
    patchAlertReceiver: (name: string, body: z.input<typeof receiverPatchSchema>) =>
      call(receiverSchema, { method: "PATCH", path: receiver(name), body }),
    deleteAlertReceiver: (name: string) =>
      call(receiverSchema, { method: "DELETE", path: receiver(name) }),
    silenceAlertReceiver: (name: string, until: string | null) =>
      post(receiverSchema, receiver(name, "/silence"), { until }),
    testAlertReceiver: (name: string) => post(receiverTestSchema, receiver(name, "/test")),
    listTokens: async () =>
      (await get(z.object({ items: z.array(operatorTokenSchema) }), "/v1/tokens")).items,
    createToken: (input: z.input<typeof tokenCreateSchema>) =>
      post(tokenCreatedSchema, "/v1/tokens", input),
    listTaskKeys: async () => (await get(taskKeysSchema, "/v1/task-keys")).items,
    rotateTaskKeys: async () => (await post(taskKeysSchema, "/v1/task-keys/rotate")).items,
    revokeToken: (id: string) => post(operatorTokenSchema, `/v1/tokens/${seg(id)}/revoke`),
  };
}

export type Client = ReturnType<typeof createClient>;
