import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { sql } from "drizzle-orm";
import { pino } from "pino";
import { expect, onTestFinished, test, vi } from "vitest";
import { readConfig } from "../../control-plane/config.ts";
import { connect } from "../../control-plane/db/connect.ts";
import { handler } from "../../control-plane/lambda.ts";
import { prepare } from "../../control-plane/prepare.ts";
import { enrolAgent } from "../helpers/control-plane.ts";
import { createTestDatabase } from "../helpers/database.ts";
import { temporaryDirectory } from "../helpers/directory.ts";

const log = pino({ enabled: false });

/** A prepared database, which the function's environment names; and the admin token. */
async function makeEnvironment() {
  const { connection, drop } = await createTestDatabase({ migrated: false });
  const { host, user, database } = connection;
  const environment = {
    DATABASE_URL: `postgres://${user}@localhost/${database}?host=${host}`,
    MIRRORFLEET_SECRET: randomBytes(32).toString("base64"),
    MIRRORFLEET_DATA: join(await temporaryDirectory(), "data"),
    MIRRORFLEET_LOG_LEVEL: "error",
  };
  for (const [name, value] of Object.entries(environment)) vi.stubEnv(name, value);
  onTestFinished(async () => {
    vi.unstubAllEnvs();
    await drop();
  });
  const config = readConfig(environment);
  await prepare({ config, log });
  await prepare({ config, log });
  const { db, close } = connect({ connection: environment.DATABASE_URL, max: 1 });
  onTestFinished(close);
  const token = (await readFile(config.adminTokenFile, "utf8")).trim();
  return { db, token };
}

/** An event as AWS sends it, with this token. */
async function eventOf(name: string, token: string): Promise<any> {
  const url = new URL(`../fixtures/lambda/${name}.json`, import.meta.url);
  return JSON.parse((await readFile(url, "utf8")).replace("TOKEN", token));
}

test("AWS Lambda: a load balancer's and an HTTP API's event are answered, and a schedule's starts what is due", async () => {
  const { db, token } = await makeEnvironment();
  const event = await eventOf("load-balancer", token);
  expect(await handler(event)).toMatchObject({ statusCode: 201, isBase64Encoded: false });
  const project = {
    name: "debian",
    upstream: "rsync://ftp.example.org/debian/",
    schedule: "* * * * *",
  };
  const body = btoa(JSON.stringify(project));
  expect(await handler({ ...event, path: "/v1/projects", body })).toMatchObject({
    statusCode: 201,
  });
  const listed: any = await handler(await eventOf("http-api", token));
  expect(listed.statusCode).toBe(200);
  expect(JSON.parse(listed.body).items).toMatchObject([
    { name: "debian", upstream: "rsync://ftp.example.org/debian/" },
  ]);
  const refused: any = await handler(await eventOf("http-api", "mfo_wrong"));
  expect(refused).toMatchObject({ statusCode: 401 });

  await db.execute(sql`update projects set next_run_at = now()`);
  await handler(await eventOf("schedule", token));
  const { rows } = await db.execute(sql`select next_run_at > now() as later from projects`);
  expect(rows).toEqual([{ later: true }]);
});

test("a poll is not held unless the settings say so: an agent that has gone away is not noticed", async () => {
  const { token } = await makeEnvironment();
  const event = await eventOf("http-api", token);
  const request = async (path: string, { method = "GET", headers = {}, body }: any = {}) => {
    const http = { ...event.requestContext.http, method, path };
    const answer: any = await handler({
      ...event,
      rawPath: path,
      rawQueryString: "",
      headers: { host: event.headers.host, ...headers },
      requestContext: { ...event.requestContext, http },
      ...(body !== undefined && { body }),
    });
    return new Response(answer.body, { status: answer.statusCode });
  };
  const headers = { authorization: `Bearer ${token}` };
  const operate = async (method: string, path: string, body?: unknown) => ({
    body: await (await request(path, { method, headers, body: JSON.stringify(body) })).json(),
  });
  const agent = await enrolAgent(
    { app: { request } as any, operate },
    { name: "ftp1", role: "ftp" },
  );
  const started = performance.now();
  const answer = await agent.poll({ waitSeconds: 25 });
  expect(answer).toMatchObject({ lease: null, pauseSeconds: 15 });
  expect(performance.now() - started).toBeLessThan(5000);
});

test("after an answer no connection to the database is left", async () => {
  const { db, token } = await makeEnvironment();
  await handler(await eventOf("http-api", token));
  const others = sql`select count(*)::int as open from pg_stat_activity
    where datname = current_database() and pid <> pg_backend_pid()`;
  await vi.waitFor(async () => expect((await db.execute(others)).rows).toEqual([{ open: 0 }]));
});

test("without a secret or a database the error names what is missing", async () => {
  vi.stubEnv("MIRRORFLEET_SECRET", undefined);
  vi.stubEnv("DATABASE_URL", undefined);
  onTestFinished(() => void vi.unstubAllEnvs());
  await expect(handler(await eventOf("schedule", ""))).rejects.toThrow(/DATABASE_URL.*SECRET/);
});
