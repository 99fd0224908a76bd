import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { gunzipSync, gzipSync } from "node:zlib";
import { sql } from "drizzle-orm";
import { Hono } from "hono";
import { pino } from "pino";
import { createOperatorToken } from "../control-plane/auth/operator-tokens.ts";
import { deriveSecrets } from "../control-plane/auth/secrets.ts";
import { openFleet } from "../control-plane/auth/task-keys.ts";
import type { Ctx } from "../control-plane/context.ts";
import { connect } from "../control-plane/db/connect.ts";
import { startEmbeddedPostgres } from "../control-plane/db/embedded-postgres.ts";
import { migrate } from "../control-plane/db/migrate.ts";
import { readMatrix } from "../control-plane/db/queries/fleet-matrix.ts";
import { readStatus } from "../control-plane/db/queries/settings.ts";
import { openWaiters } from "../control-plane/dispatch/waiters.ts";
import { createApp } from "../control-plane/http/app.ts";
import { percentile, printMachine, printTable } from "./figures.ts";

type Size = { projects: number; hosts: number };

/** A fleet with three runs of each project behind it: most of it fresh, some stale, behind, failed or syncing. */
async function fill({ db }: Pick<Ctx, "db">, { projects, hosts }: Size): Promise<void> {
  await db.execute(sql`
    insert into hosts (name, roles, addresses, signing_key, enrolled_at, last_seen_at)
    select case n when 0 then 'master' else 'ftp' || n end,
      array[case n when 0 then 'master' else 'ftp' end], array['127.0.0.1'],
      '{"kty": "OKP", "crv": "Ed25519", "x": ""}', now(), now()
    from generate_series(0, ${hosts - 1}::int) n`);
  await db.execute(sql`
    insert into projects (name, upstream, schedule, zone, misfire, overlap, path, rsync,
      max_attempts, wall_clock_seconds, stall_seconds, max_delete_percent, generation, fresh_at, next_run_at)
    select 'project-' || n, 'rsync://upstream.example.org/project-' || n, '17 * * * *', 'UTC',
      'latest', 'skip', 'project-' || n, '{}', 3, 86400, 600, 10, 7,
      now() - interval '10 minutes' * (1 + n % 200), now() + interval '1 hour'
    from generate_series(1, ${projects}::int) n`);
  await db.execute(sql`
    insert into replicas (project_id, host_id, role, generation, synced_at, scanned_at, fresh_at)
    select p.id, h.id, h.roles[1], 7 - (random() < 0.02)::int, now(), now(), now() - interval '1 hour'
    from projects p cross join hosts h`);
  await db.execute(sql`
    insert into runs (project_id, trigger, state, scheduled_for, generation, started_at, finished_at, created_at)
    select p.id, 'schedule', 'succeeded', t.at, 5 + n, t.at, t.at, t.at
    from projects p cross join generate_series(0, 2) n
    cross join lateral (select now() - n * interval '1 hour' as at) t`);
  await db.execute(sql`
    insert into tasks (run_id, project_id, host_id, role, state, attempt, max_attempts, not_before,
      result, queued_at, started_at, finished_at)
    select r.id, r.project_id, h.id, h.roles[1],
      case when random() < 0.01 then 'failed' else 'succeeded' end, 1, 3, r.created_at,
      '{"outcome": "fatal", "message": "", "seconds": 1}', r.created_at, r.created_at, r.created_at
    from runs r cross join hosts h`);
  await db.execute(sql`
    update tasks set state = 'leased', finished_at = null, result = null, progress =
      '{"bytes": 1, "percent": 42, "bytesPerSecond": 1, "filesTransferred": 1, "filesChecked": 42, "filesTotal": 100}'
    where id in (select id from tasks order by queued_at desc, id limit 200)`);
  await db.execute(sql`vacuum (analyze)`);
}

/** Milliseconds and bytes of an answer, asked for again and again. */
async function ask(get: () => Response | Promise<Response>, { rounds }: { rounds: number }) {
  const times: number[] = [];
  let body = new ArrayBuffer(0);
  for (let round = 0; round < rounds; round++) {
    const started = performance.now();
    const response = await get();
    body = await response.arrayBuffer();
    times.push(performance.now() - started);
    if (!response.ok) throw new Error(`status ${response.status}`);
  }
  return { milliseconds: percentile(times, 0.5), bytes: body.byteLength, body };
}

type Asked = Awaited<ReturnType<typeof ask>>;

const row = (name: string, it: Asked, than: Asked, zipped: number, thanZipped: number) => [
  name,
  it.milliseconds,
  it.milliseconds / than.milliseconds,
  it.bytes / 1e3,
  it.bytes / than.bytes,
  zipped / 1e3,
  zipped / thanZipped,
];

/** The page of a whole fleet beside a plain JSON answer of the same data: the same queries, in the same process. */
export async function dashboard(
  { directory }: { directory: string },
  { projects, hosts, rounds }: Size & { rounds: number },
): Promise<void> {
  const { connection, stop } = await startEmbeddedPostgres(
    { log: () => {} },
    { directory: join(directory, "postgres"), settings: {} },
  );
  await migrate({ connection });
  const { db, close } = connect({ connection, max: 4 });
  try {
    const now = () => sql`now()`;
    const derived = deriveSecrets({ secret: randomBytes(32) });
    const secrets = { ...derived, fleet: await openFleet({ db, now, secrets: derived }) };
    const log = pino({ level: "silent" });
    const { wait: waitForWake } = openWaiters();
    const share: Ctx["share"] = (_name, read) => read();
    const ctx: Ctx = { db, log, secrets, oidc: null, share, now, waitForWake };
    await fill(ctx, { projects, hosts });
    const { token } = await createOperatorToken(ctx, { name: "bench", scope: "viewer" });
    const app = createApp(ctx);
    const plain = new Hono().get("/", async (c) =>
      c.json({ matrix: await readMatrix(ctx), status: await readStatus(ctx) }),
    );
    const signedIn = await app.request("/sign-in", {
      method: "POST",
      body: new URLSearchParams({ token }),
      headers: { "sec-fetch-site": "same-origin" },
    });
    const cookie = signedIn.headers.get("set-cookie")!.split(";")[0]!;
    const page = (headers: Record<string, string>) => () =>
      app.request("/", { headers: { cookie, ...headers } });
    for (const get of [page({}), () => plain.request("/")]) await ask(get, { rounds: 3 });
    const html = await ask(page({}), { rounds });
    const json = await ask(() => plain.request("/"), { rounds });
    const zipped = await ask(page({ "accept-encoding": "gzip" }), { rounds });
    const same = gunzipSync(zipped.body).length === html.bytes;
    if (!same) throw new Error("the compressed page is another one");
    const jsonZipped = gzipSync(json.body).length;
    printMachine();
    printTable({
      head: [`${projects} × ${hosts}`, "ms", "ratio", "kB", "ratio", "kB gzip", "ratio"],
      rows: [
        row("JSON", json, json, jsonZipped, jsonZipped),
        row("page", html, json, zipped.bytes, jsonZipped),
        row("page, gzip", zipped, json, zipped.bytes, jsonZipped),
      ],
    });
  } finally {
    await close();
    await stop();
  }
}
