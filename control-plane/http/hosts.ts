import { sql } from "drizzle-orm";
import { z } from "zod";
import {
  hostCreateSchema,
  hostDrainSchema,
  hostInviteSchema,
  hostPatchSchema,
  hostSchema,
  hostsQuerySchema,
} from "../../protocol/host.ts";
import { pageOf } from "../../protocol/paging.ts";
import { createEnrolmentToken, endEnrolmentTokens } from "../auth/enrolment.ts";
import { insertHost, lockHost, readHost, readHosts } from "../db/queries/hosts.ts";
import { patchHost, releaseHost, revokeHost } from "../fleet/hosts.ts";
import { drainHost, resumeHost } from "../fleet/pauses.ts";
import { placeAll } from "../fleet/placement.ts";
import { joiningOf } from "../joining/join-script.ts";
import { change, type Operation, read } from "./operation.ts";
import { nameParams } from "./params.ts";

const tag = "hosts";
const one = { path: "/v1/hosts/{name}", tag, params: nameParams };

/** Hosts: invite, read, change, drain, revoke. */
export const hostOperations: Operation[] = [
  change(
    {
      id: "createHost",
      method: "POST",
      path: "/v1/hosts",
      tag,
      access: "admin",
      summary: "Make a host and the token with which its agent enrols, once, within an hour",
      body: hostCreateSchema,
      answer: hostInviteSchema,
      status: 201,
      errors: ["conflict"],
      example: { name: "ftp-nyc", roles: ["ftp"], addresses: ["192.0.2.10"] },
    },
    async (ctx, { body }) => {
      const { id, name } = await insertHost(ctx, body);
      const enrolment = await createEnrolmentToken(ctx, { hostId: id });
      await placeAll(ctx);
      const host = await readHost(ctx, { name });
      const joining = await joiningOf(ctx, host);
      const answer = { host, enrolment, joining };
      return { answer, location: `/v1/hosts/${name}`, after: host };
    },
  ),
  read(
    {
      id: "listHosts",
      method: "GET",
      path: "/v1/hosts",
      tag,
      access: "viewer",
      summary: "List hosts by name",
      query: hostsQuerySchema,
      answer: pageOf(hostSchema),
    },
    (ctx, { query }) => readHosts(ctx, query),
  ),
  read(
    {
      ...one,
      id: "getHost",
      method: "GET",
      access: "viewer",
      summary: "Read a host",
      answer: hostSchema,
      errors: ["not-found"],
    },
    (ctx, { params }) => readHost(ctx, params),
  ),
  change(
    {
      ...one,
      id: "patchHost",
      method: "PATCH",
      access: "admin",
      summary: "Change a host's labels, addresses or number of tasks at a time",
      body: hostPatchSchema,
      answer: hostSchema,
      errors: ["not-found"],
      example: { labels: { site: "nyc" }, parallel: 4 },
    },
    async (ctx, { params, body }) => {
      const { before, after } = await patchHost(ctx, { name: params.name, patch: body });
      return { answer: after, before, after };
    },
  ),
  change(
    {
      ...one,
      id: "drainHost",
      method: "POST",
      path: `${one.path}/drain`,
      access: "operator",
      summary:
        "Pause a host: it is given no new tasks, and `runningTasks` says when it is idle; in an emergency, also end what runs",
      body: hostDrainSchema,
      answer: hostSchema,
      errors: ["not-found"],
      example: { cancelRunning: false },
    },
    async (ctx, { params, body }) => {
      const { before, after } = await drainHost(ctx, { ...params, ...body });
      return { answer: after, before, after };
    },
  ),
  change(
    {
      ...one,
      id: "resumeHost",
      method: "POST",
      path: `${one.path}/resume`,
      access: "operator",
      summary: "Give a drained host tasks again; it catches up",
      answer: hostSchema,
      errors: ["not-found"],
    },
    async (ctx, { params }) => {
      const { before, after } = await resumeHost(ctx, params);
      return { answer: after, before, after };
    },
  ),
  change(
    {
      ...one,
      id: "releaseHost",
      method: "POST",
      path: `${one.path}/release`,
      access: "operator",
      summary:
        "End the quarantine of a host whose key was in use on two machines: once only one of them is left",
      answer: hostSchema,
      errors: ["not-found"],
    },
    async (ctx, { params }) => {
      const { before, after } = await releaseHost(ctx, params);
      return { answer: after, before, after };
    },
  ),
  change(
    {
      ...one,
      id: "inviteHost",
      method: "POST",
      path: `${one.path}/enrolment-tokens`,
      access: "admin",
      summary:
        "Make a new enrolment token; older ones end. With `join --replace` the host takes new keys",
      answer: hostInviteSchema,
      status: 201,
      errors: ["not-found"],
    },
    async (ctx, { params }) => {
      const { id } = await lockHost(ctx, params);
      const enrolment = await createEnrolmentToken(ctx, { hostId: id });
      const host = await readHost(ctx, params);
      const joining = await joiningOf(ctx, host);
      return { answer: { host, enrolment, joining }, after: { expiresAt: enrolment.expiresAt } };
    },
  ),
  change(
    {
      ...one,
      id: "uninviteHost",
      method: "DELETE",
      path: `${one.path}/enrolment-tokens`,
      access: "admin",
      summary: "End a host's enrolment tokens that were not used yet",
      answer: z.object({ ended: z.int() }),
      errors: ["not-found"],
    },
    async (ctx, { params }) => {
      const { id } = await lockHost(ctx, params);
      const ended = await endEnrolmentTokens(ctx, { hostId: id });
      return { answer: { ended }, after: { ended } };
    },
  ),
  change(
    {
      ...one,
      id: "revokeHost",
      method: "POST",
      path: `${one.path}/revoke`,
      access: "admin",
      summary: "End its agent's authority at once; the host can be invited again",
      answer: hostSchema,
      errors: ["not-found"],
    },
    async (ctx, { params }) => {
      const { before, after } = await revokeHost(ctx, { ...params, at: sql`${ctx.now()}` });
      return { answer: after, before, after };
    },
  ),
];
