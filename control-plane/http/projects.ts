import { AppError } from "../../protocol/errors.ts";
import {
  projectCloneSchema,
  projectCreateSchema,
  projectPatchSchema,
  projectReplaceSchema,
  projectSchema,
  projectsQuerySchema,
} from "../../protocol/project.ts";
import { runDetailSchema, syncQuerySchema, syncSchema } from "../../protocol/run.ts";
import { readProject, readProjects } from "../db/queries/projects.ts";
import { readRun } from "../db/queries/runs.ts";
import { sendTrigger, startDryRun } from "../dispatch/start-run.ts";
import { waitForRun } from "../dispatch/wait-for-run.ts";
import { pauseProject } from "../fleet/pauses.ts";
import {
  cloneProject,
  createProject,
  patchProject,
  removeProject,
  replaceProject,
} from "../fleet/projects.ts";
import { pageOf } from "../../protocol/paging.ts";
import { projectOfScope } from "../../protocol/token.ts";
import { undoProject } from "../fleet/undo.ts";
import { change, type Operation, read } from "./operation.ts";
import { nameParams } from "./params.ts";

const tag = "projects";
const one = { path: "/v1/projects/{name}", tag, params: nameParams };
const example = {
  name: "debian",
  upstream: "rsync://ftp.debian.org/debian/",
  schedule: "17 */4 * * *",
};

const pause = (id: string, paused: boolean): Operation =>
  change(
    {
      ...one,
      id,
      method: "POST",
      path: `${one.path}/${paused ? "pause" : "resume"}`,
      access: "operator",
      summary: paused
        ? "Stop a project's schedule and triggers; what runs goes on"
        : "Let a paused project go on; hosts that are behind catch up",
      answer: projectSchema,
      errors: ["not-found"],
      versioned: true,
    },
    async (ctx, { params }) => {
      const { before, after } = await pauseProject(ctx, { name: params.name, paused });
      return { answer: after, before, after };
    },
  );

/** Projects: create, read, change, remove, pause, sync. */
export const projectOperations: Operation[] = [
  read(
    {
      id: "listProjects",
      method: "GET",
      path: "/v1/projects",
      tag,
      access: "viewer",
      summary: "List projects by name",
      query: projectsQuerySchema,
      answer: pageOf(projectSchema),
    },
    (ctx, { query }) => readProjects(ctx, query),
  ),
  change(
    {
      id: "createProject",
      method: "POST",
      path: "/v1/projects",
      tag,
      access: "admin",
      summary: "Make a project and its replicas",
      body: projectCreateSchema,
      answer: projectSchema,
      status: 201,
      errors: ["conflict"],
      example,
      versioned: true,
    },
    async (ctx, { body }) => {
      const project = await createProject(ctx, { input: body });
      return { answer: project, location: `/v1/projects/${project.name}`, after: project };
    },
  ),
  read(
    {
      ...one,
      id: "getProject",
      method: "GET",
      access: "viewer",
      summary: "Read a project and its replicas",
      answer: projectSchema,
      errors: ["not-found"],
      versioned: true,
    },
    (ctx, { params }) => readProject(ctx, params),
  ),
  change(
    {
      ...one,
      id: "replaceProject",
      method: "PUT",
      access: "admin",
      summary: "Give a project another definition; what is left out returns to its default",
      body: projectReplaceSchema,
      answer: projectSchema,
      errors: ["not-found", "precondition-failed"],
      example: { upstream: example.upstream, schedule: "47 */6 * * *" },
      versioned: true,
    },
    async (ctx, { params, body, ifMatch }) => {
      const { before, after } = await replaceProject(ctx, { ...params, ifMatch, definition: body });
      return { answer: after, before, after };
    },
  ),
  change(
    {
      ...one,
      id: "patchProject",
      method: "PATCH",
      access: "admin",
      summary: "Change some fields of a project",
      body: projectPatchSchema,
      answer: projectSchema,
      errors: ["not-found", "precondition-failed"],
      example: { schedule: "47 */6 * * *", rsync: { bandwidthKiBps: 20_000 } },
      versioned: true,
    },
    async (ctx, { params, body, ifMatch }) => {
      const { before, after } = await patchProject(ctx, { ...params, ifMatch, patch: body });
      return { answer: after, before, after };
    },
  ),
  change(
    {
      ...one,
      id: "deleteProject",
      method: "DELETE",
      access: "admin",
      summary:
        "Remove a project with its runs, and end the tokens that trigger it alone; its files stay on the hosts",
      answer: projectSchema,
      errors: ["not-found", "precondition-failed", "conflict"],
      versioned: true,
    },
    async (ctx, { params, ifMatch }) => {
      const before = await removeProject(ctx, { ...params, ifMatch });
      return { answer: before, before };
    },
  ),
  pause("pauseProject", true),
  pause("resumeProject", false),
  change(
    {
      ...one,
      id: "syncProject",
      method: "POST",
      path: `${one.path}/sync`,
      access: "trigger",
      summary: "Sync now; during a pull, one run waits behind it",
      query: syncQuerySchema,
      body: syncSchema,
      answer: runDetailSchema,
      status: 201,
      errors: ["not-found", "conflict"],
      example: {},
    },
    async (ctx, { params, body, actor }) => {
      const trigger = projectOfScope(actor.scope) === null ? "manual" : "push";
      // The guard is for people of the mirror to lift, not for those who push to it.
      if (trigger === "push" && body.approveDeletions !== null)
        throw new AppError(
          "forbidden",
          "approveDeletions needs an operator token of scope operator",
        );
      const { id, detail } = await sendTrigger(ctx, {
        project: params.name,
        trigger,
        approvedDeletions: body.approveDeletions,
      });
      return {
        answer: detail,
        location: `/v1/runs/${id}`,
        after: { run: id, ...body },
      };
    },
    async (ctx, { query, answer, signal }) =>
      query.wait ? waitForRun(ctx, { id: answer.id, signal }) : answer,
  ),
  change(
    {
      ...one,
      id: "dryRunProject",
      method: "POST",
      path: `${one.path}/dry-run`,
      access: "operator",
      summary:
        "List what a sync would create, change and delete on the master, in a run that changes nothing",
      answer: runDetailSchema,
      status: 201,
      errors: ["not-found", "conflict"],
    },
    async (ctx, { params }) => {
      const { id } = await startDryRun(ctx, { project: params.name });
      const run = await readRun(ctx, { id });
      return { answer: run, location: `/v1/runs/${id}`, after: { run: id } };
    },
  ),
  change(
    {
      ...one,
      id: "undoProject",
      method: "POST",
      path: `${one.path}/undo`,
      access: "operator",
      summary:
        "Bring back what the last deletions on the master took, and pause the project; needs a quarantine on the master",
      answer: runDetailSchema,
      status: 201,
      errors: ["not-found", "conflict"],
    },
    async (ctx, { params }) => {
      const id = await undoProject(ctx, params);
      const run = await readRun(ctx, { id });
      return { answer: run, location: `/v1/runs/${id}`, after: { run: id, paused: true } };
    },
  ),
  change(
    {
      ...one,
      id: "cloneProject",
      method: "POST",
      path: `${one.path}/clone`,
      access: "admin",
      summary: "Make a project like another, with another name and path; a login is not copied",
      body: projectCloneSchema,
      answer: projectSchema,
      status: 201,
      errors: ["not-found", "conflict"],
      example: { name: "debian-ports", upstream: "rsync://ftp.ports.debian.org/debian-ports/" },
      versioned: true,
    },
    async (ctx, { params, body }) => {
      const project = await cloneProject(ctx, { ...params, changes: body });
      return { answer: project, location: `/v1/projects/${project.name}`, after: project };
    },
  ),
];
