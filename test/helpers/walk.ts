import { sql } from "drizzle-orm";
import type { Hono } from "hono";
import { afterAll } from "vitest";
import type { Declaration } from "../../control-plane/http/operation.ts";
import type { Ctx } from "../../control-plane/context.ts";
import type { TestAgent } from "./control-plane.ts";
import type { TestFleet } from "./fleet.ts";

/** What is sent to an operation. A credential that is not named is the right one; null is none. */
export type Call = {
  path?: Record<string, string>;
  query?: string;
  body?: unknown;
  token?: string | null;
  /** Signs an agent's request, with these claims changed. */
  agent?: TestAgent;
  claims?: Record<string, unknown>;
  headers?: Record<string, string>;
  /** Address that it comes from. */
  from?: string;
  app?: Hono;
};

const called = { operations: new Set<string>(), cases: 0, statuses: new Map<number, number>() };

/** Tells at a test file's end what it called. */
export function tellWalk(title: string): void {
  afterAll(() => {
    const statuses = [...called.statuses]
      .toSorted(([left], [right]) => left - right)
      .map(([status, count]) => `${count} x ${status}`);
    process.stdout.write(
      `${title}: ${called.operations.size} operations, ${called.cases} cases (${statuses.join(", ")})\n`,
    );
  });
}

const textOf = (body: unknown) =>
  body === undefined || typeof body === "string" ? body : JSON.stringify(body);

async function credential(
  fleet: TestFleet,
  { access, method }: Declaration,
  { given, path, text }: { given: Call; path: string; text: string | undefined },
): Promise<string | null> {
  if (given.token !== undefined || access === "public") return given.token ?? null;
  if (access === "task") throw new Error("a task token must be named");
  if (access !== "agent") return fleet.admin;
  const { agent = fleet.ftp1, claims = {} } = given;
  return agent.sign({ method, path, body: text ?? "", claims });
}

/** Calls an operation as it would be over the network. */
export async function call(fleet: TestFleet, declaration: Declaration, given: Call) {
  const { id, method } = declaration;
  const { path: values = {}, query = "", headers = {}, from, app = fleet.app } = given;
  const path =
    declaration.path.replaceAll(/\{(\w+)\}/g, (_, name: string) =>
      encodeURIComponent(values[name] ?? "none"),
    ) + query;
  const text = textOf(given.body);
  const token = await credential(fleet, declaration, { given, path, text });
  const init = {
    method,
    headers: { ...(token !== null && { authorization: `Bearer ${token}` }), ...headers },
    ...(text !== undefined && { body: text }),
  };
  const socket = { remoteAddress: from, remotePort: 1, remoteFamily: "IPv4" };
  const response = await app.request(
    path,
    init,
    from === undefined ? {} : { incoming: { socket } },
  );
  called.operations.add(id);
  called.cases += 1;
  called.statuses.set(response.status, (called.statuses.get(response.status) ?? 0) + 1);
  const answer = await response.text();
  const isJson = response.headers.get("content-type")?.includes("json") ?? false;
  return { status: response.status, body: isJson ? JSON.parse(answer) : answer, response };
}

/** Every row of every table in one query, so that "changed nothing" means just that. */
export async function makeFingerprint({ db }: Pick<Ctx, "db">): Promise<() => Promise<string>> {
  const { rows: tables } = await db.execute<{ name: string }>(
    sql`select tablename as name from pg_tables where schemaname = 'public' order by 1`,
  );
  const sums = tables.map(
    ({ name }) =>
      sql`(select md5(string_agg((to_jsonb(t) - 'last_used_at')::text, ',' order by t::text)) from ${sql.identifier(name)} t)`,
  );
  return async () => {
    const { rows } = await db.execute(sql`select concat_ws(' ', ${sql.join(sums, sql`, `)}) sums`);
    return JSON.stringify(rows);
  };
}
