import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { uptime } from "node:os";
import { gunzipSync } from "node:zlib";
import type { Result } from "../protocol/report.ts";
import type { Fleet } from "./fleet.ts";
import { type History, now } from "./history.ts";
import type { Host } from "./host.ts";
import type { Exchange } from "./http-proxy.ts";
import { readJournal } from "./journal.ts";

const claims = (token: string): Record<string, unknown> =>
  JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString()) as Record<
    string,
    unknown
  >;

/** Notes what an exchange of an agent with a control plane says: a report, or a lease. */
export function noteExchange(
  history: History,
  { host, exchange }: { host: string; exchange: Exchange },
): void {
  const { path, sent, answered, status, copy, authorization } = exchange;
  const report = /^\/v1\/tasks\/([^/]+)\/(heartbeat|log|result)/.exec(path);
  if (report) {
    const { attempt } = claims(authorization.replace("Bearer ", ""));
    const kind = report[2] as "result";
    const result = kind === "result" ? (JSON.parse(exchange.body.toString()) as Result) : null;
    history.reports.push({
      taskId: report[1]!,
      attempt: Number(attempt),
      kind,
      sent,
      answered,
      status,
      copy,
      result,
    });
  } else if (path === "/v1/agent/poll" && status === 200) {
    const { lease } = JSON.parse(exchange.answer.toString()) as { lease: { order: string } | null };
    if (!lease) return;
    const { sub, attempt } = claims(lease.order);
    history.leases.push({ taskId: String(sub), attempt: Number(attempt), host, answered });
  }
}

/** What the wrapper of a host's rsyncs wrote. */
function readRsyncs({ name, rsyncs }: Host): History["rsyncs"] {
  // The wrapper's clock is that of /proc/uptime.
  const booted = now() - uptime() * 1000;
  const running = new Map<string, History["rsyncs"][number]>();
  const found: History["rsyncs"] = [];
  for (const line of readFileSync(rsyncs, "utf8").split("\n").filter(Boolean)) {
    const [kind, pid, seconds, word, ...rest] = line.split(" ");
    const at = booted + Number(seconds) * 1000;
    if (kind === "start") {
      const rsync = {
        host: name,
        destination: rest.join(" "),
        started: at,
        ended: null,
        besideAnother: word === "yes",
      };
      running.set(pid!, rsync);
      found.push(rsync);
    } else {
      const rsync = running.get(pid!);
      if (rsync) rsync.ended = at;
      running.delete(pid!);
    }
  }
  return found;
}

const time = (value: unknown): number | null => (value === null ? null : Number(value));

/** Adds to the history what the database, the wrappers and the spools hold in the end. */
export async function collect(fleet: Fleet, { history }: { history: History }): Promise<void> {
  history.rsyncs = fleet.hosts.flatMap(readRsyncs);
  history.spooled = fleet.hosts.flatMap(({ spool }) => spool.stop());
  const rows = await fleet.database.use(async (sql) => ({
    runs: await sql`
      select r.id, p.name as project, r.trigger, r.state, r.reason,
        extract(epoch from r.scheduled_for) * 1000 as scheduled,
        extract(epoch from r.started_at) * 1000 as started
      from runs r join projects p on p.id = r.project_id`,
    tasks: await sql`
      select t.id, t.run_id, p.name as project, h.name as host, t.state
      from tasks t join projects p on p.id = t.project_id join hosts h on h.id = t.host_id`,
    attempts: await sql`
      select a.task_id, a.attempt, a.state, a.result,
        array(select c.bytes from log_chunks c
          where c.task_id = a.task_id and c.attempt = a.attempt order by c.position) as pieces,
        array(select c.packed_bytes is not null from log_chunks c
          where c.task_id = a.task_id and c.attempt = a.attempt order by c.position) as packed
      from attempts a`,
    changes: await readJournal(sql),
  }));
  history.runs = rows.runs.map((row) => ({
    id: row["id"],
    project: row["project"],
    trigger: row["trigger"],
    state: row["state"],
    reason: row["reason"],
    scheduledFor: Number(row["scheduled"]),
    startedAt: time(row["started"]),
  }));
  history.tasks = rows.tasks.map((row) => ({
    id: row["id"],
    runId: row["run_id"],
    project: row["project"],
    host: row["host"],
    state: row["state"],
  }));
  history.attempts = rows.attempts.map((row) => {
    const packed: boolean[] = row["packed"];
    const bytes = Buffer.concat(
      (row["pieces"] as Buffer[]).map((piece, at) => (packed[at] ? gunzipSync(piece) : piece)),
    );
    return {
      taskId: row["task_id"],
      attempt: row["attempt"],
      state: row["state"],
      result: row["result"],
      log: { bytes: bytes.length, sha256: createHash("sha256").update(bytes).digest("hex") },
    };
  });
  history.changes = rows.changes;
}
