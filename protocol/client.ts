import { z } from "zod";
import { AppError, parse, problemSchema } from "./errors.ts";
import { hostInviteSchema, hostSchema, type hostCreateSchema } from "./fleet.ts";
import {
  type ProjectCreate,
  projectSchema,
  runDetailSchema,
  runSchema,
  type triggerSchema,
} from "./project.ts";

const requestSeconds = 30;

type Request = { url: string; token: string; method: "GET" | "POST"; path: string; body?: unknown };

/** The value that a JSON text holds; undefined where it is none. */
function fromJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** @throws AppError: the answer's code and fields, or `unavailable`. */
async function request({ url, token, method, path, body }: Request): Promise<string> {
  let response: Response;
  let text: string;
  try {
    response = await fetch(url + path, {
      method,
      headers: { authorization: `Bearer ${token}` },
      ...(body !== undefined && { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(requestSeconds * 1000),
    });
    text = await response.text();
  } catch (cause) {
    throw new AppError(
      "unavailable",
      `cannot reach ${url}: ${((cause as Error).cause as Error | undefined)?.message ?? (cause as Error).message}`,
      { cause },
    );
  }
  if (response.ok) return text;
  const problem = problemSchema.safeParse(fromJson(text));
  if (!problem.success)
    throw new AppError(
      "unavailable",
      `${method} ${path} answered ${response.status} with something that is not of a control plane: is a proxy in between?`,
    );
  throw new AppError(problem.data.code, problem.data.detail, { fields: problem.data.errors ?? [] });
}

/** The operator's routes as functions. Every one throws AppError with the answer's code. */
export function createClient({ url, token }: { url: string; token: string }) {
  const call = async <Schema extends z.ZodType>(
    method: "GET" | "POST",
    path: string,
    schema: Schema,
    body?: unknown,
  ): Promise<z.output<Schema>> =>
    parse(
      schema,
      fromJson(await request({ url, token, method, path, body })),
      `the answer to ${method} ${path}`,
    );
  const list = async <Schema extends z.ZodType>(path: string, schema: Schema) =>
    (await call("GET", path, z.object({ items: z.array(schema) }))).items;
  const name = encodeURIComponent;
  return {
    createHost: (input: z.input<typeof hostCreateSchema>) =>
      call("POST", "/v1/hosts", hostInviteSchema, input),
    listHosts: () => list("/v1/hosts", hostSchema),
    createProject: (input: ProjectCreate) => call("POST", "/v1/projects", projectSchema, input),
    getProject: (project: string) => call("GET", `/v1/projects/${name(project)}`, projectSchema),
    triggerRun: (project: string, input: z.input<typeof triggerSchema> = {}) =>
      call("POST", `/v1/projects/${name(project)}/runs`, runSchema, input),
    listRuns: (project: string) => list(`/v1/runs?project=${name(project)}&limit=50`, runSchema),
    getRun: (id: string) => call("GET", `/v1/runs/${name(id)}`, runDetailSchema),
    getTaskLog: (id: string) =>
      request({ url, token, method: "GET", path: `/v1/tasks/${name(id)}/log` }),
  };
}

export type Client = ReturnType<typeof createClient>;
