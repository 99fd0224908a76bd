import { z } from "zod";
import {
  alertSchema,
  alertsQuerySchema,
  receiverCreateSchema,
  receiverPatchSchema,
  receiverSchema,
  receiverTestSchema,
  silenceSchema,
} from "../../protocol/alert.ts";
import { pageOf } from "../../protocol/paging.ts";
import { testReceiver } from "../alerts/deliver.ts";
import {
  createReceiver,
  patchReceiver,
  removeReceiver,
  silenceReceiver,
} from "../alerts/receivers.ts";
import { readReceiver, readReceivers } from "../db/queries/alert-receivers.ts";
import { readAlerts } from "../db/queries/alerts.ts";
import { change, type Operation, read } from "./operation.ts";
import { nameParams } from "./params.ts";

const tag = "alerts";
const path = "/v1/alert-receivers";
const one = { path: `${path}/{name}`, tag, params: nameParams };

/** Alerts, and who is told of them. */
export const alertOperations: Operation[] = [
  read(
    {
      id: "listAlerts",
      method: "GET",
      path: "/v1/alerts",
      tag,
      access: "viewer",
      summary: "List alerts, those that began last first",
      query: alertsQuerySchema,
      answer: pageOf(alertSchema),
    },
    (ctx, { query }) => readAlerts(ctx, query),
  ),
  read(
    {
      id: "listAlertReceivers",
      method: "GET",
      path,
      tag,
      access: "operator",
      summary: "List who is told of alerts; URLs and secrets cannot be read",
      answer: z.object({ items: z.array(receiverSchema) }),
    },
    async (ctx) => ({ items: await readReceivers(ctx) }),
  ),
  change(
    {
      id: "createAlertReceiver",
      method: "POST",
      path,
      tag,
      access: "admin",
      summary: "Make a receiver of alerts; it is told at once of what goes on",
      body: receiverCreateSchema,
      answer: receiverSchema,
      status: 201,
      errors: ["conflict"],
      example: {
        name: "on-call",
        kind: "webhook",
        url: "https://alerts.example.org/mirrorfleet",
        secret: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
      },
    },
    async (ctx, { body }) => {
      const receiver = await createReceiver(ctx, { input: body });
      return { answer: receiver, location: `${path}/${receiver.name}`, after: receiver };
    },
  ),
  read(
    {
      ...one,
      id: "getAlertReceiver",
      method: "GET",
      access: "operator",
      summary: "Read a receiver of alerts, and whether messages wait for it",
      answer: receiverSchema,
    },
    (ctx, { params }) => readReceiver(ctx, params),
  ),
  change(
    {
      ...one,
      id: "patchAlertReceiver",
      method: "PATCH",
      access: "admin",
      summary: "Change a receiver of alerts; what waits for it is tried again at once",
      body: receiverPatchSchema,
      answer: receiverSchema,
      example: { conditions: ["held", "disk"], remindHours: null },
    },
    async (ctx, { params, body }) => {
      const { before, after } = await patchReceiver(ctx, { ...params, patch: body });
      return { answer: after, before, after };
    },
  ),
  change(
    {
      ...one,
      id: "deleteAlertReceiver",
      method: "DELETE",
      access: "admin",
      summary: "Remove a receiver of alerts with what waits for it",
      answer: receiverSchema,
    },
    async (ctx, { params }) => {
      const before = await removeReceiver(ctx, params);
      return { answer: before, before };
    },
  ),
  change(
    {
      ...one,
      id: "silenceAlertReceiver",
      method: "POST",
      path: `${one.path}/silence`,
      access: "operator",
      summary: "Tell a receiver nothing until a time; then what began meanwhile and goes on",
      body: silenceSchema,
      answer: receiverSchema,
      example: { until: "2026-12-01T08:00:00Z" },
    },
    async (ctx, { params, body }) => {
      const { before, after } = await silenceReceiver(ctx, { ...params, ...body });
      return { answer: after, before, after };
    },
  ),
  read(
    {
      ...one,
      id: "testAlertReceiver",
      method: "POST",
      path: `${one.path}/test`,
      access: "admin",
      summary: "Send a receiver a message that tells nothing, and say whether it arrived",
      answer: receiverTestSchema,
    },
    async (ctx, { params }) => {
      const error = await testReceiver(ctx, params);
      return { delivered: error === null, error };
    },
  ),
];
