import type { Context } from "hono";
import { AppError } from "../../protocol/errors.ts";
import type { TaskDetail } from "../../protocol/run.ts";
import type { Ctx } from "../context.ts";
import { findLog, logLength, readLog } from "../db/queries/log-chunks.ts";
import { followLog } from "../dispatch/follow-log.ts";
import { eventStream } from "./event-stream.ts";
import { html, type Html } from "./html.ts";
import { fromWholeCharacter, logDecoder } from "./log-text.ts";
import { currentActor, type SignedIn } from "./session.ts";
import { count, plural, size } from "./words.ts";

/** Bytes of a log's end that a page begins with. */
const tailBytes = 64 * 1024;
/** Lines that a search shows. */
const mostLines = 5000;

function numberIn(text: string | undefined, otherwise: number): number {
  if (text === undefined) return otherwise;
  if (!/^\d{1,9}$/.test(text)) throw new AppError("not-found", "there is no such place in the log");
  return Number(text);
}

/** Which attempt's log is asked for: the latest unless the query names another. */
export const attemptOf = (c: Context, { attempt }: Pick<TaskDetail, "attempt">) =>
  numberIn(c.req.query("attempt"), attempt);

async function searched(
  ctx: Ctx,
  { taskId, attempt, words }: { taskId: string; attempt: number; words: string },
) {
  const text = logDecoder().decode(await readLog(ctx, { taskId, attempt, offset: 0 }));
  const wanted = words.toLowerCase();
  const found = text.split("\n").filter((line) => line.toLowerCase().includes(wanted));
  return { text: found.slice(0, mostLines).join("\n"), lines: found.length };
}

/** An attempt's log: its end, which goes on as it comes, or the lines with some words. */
export async function logSection(
  ctx: Ctx,
  c: Context<SignedIn>,
  { task }: { task: TaskDetail },
): Promise<Html> {
  const attempt = attemptOf(c, task);
  const place = { taskId: task.id, attempt };
  const words = (c.req.query("q") ?? "").slice(0, 200);
  const length = await logLength(ctx, place);
  const begin = c.req.query("all") === "1" ? 0 : Math.max(0, length - tailBytes);
  const search = words === "" ? null : await searched(ctx, { ...place, words });
  const decoder = logDecoder();
  const bytes = await readLog(ctx, { ...place, offset: begin, end: length });
  const text = search?.text ?? decoder.decode(begin > 0 ? fromWholeCharacter(bytes) : bytes);
  const follows = search === null && task.state === "leased" && attempt === task.attempt;
  const live = `/tasks/${task.id}/log/live?attempt=${attempt}&offset=${length - decoder.begun()}`;
  return html`<section class="card" aria-labelledby="log-title">
    <div class="bar">
      <h2 id="log-title">Log${task.attempts.length > 1 && html` of attempt ${attempt}`}</h2>
      <form class="filters" role="search" action="#log-title">
        <input type="hidden" name="attempt" value="${attempt}" />
        <label>Lines with <input name="q" value="${words}" type="search" /></label
        ><button>Search</button>
        ${search && html`<a href="/tasks/${task.id}?attempt=${attempt}">All lines</a>`}
      </form>
      ${follows && html`<label class="follow" hidden><input type="checkbox" id="follow" checked /> Follow</label>`}
      <a href="/tasks/${task.id}/log.txt?attempt=${attempt}" download>Download</a>
    </div>
    ${search && html`<p class="faint">${plural(search.lines, "line")}${search.lines > mostLines && ` of which the first ${count(mostLines)} are shown`}</p>`}
    ${!search && begin > 0 && html`<p class="faint">The last ${size(length - begin)} of ${size(length)}. <a href="?attempt=${attempt}&amp;all=1">Show all</a></p>`}
    <pre id="log" tabindex="0" aria-labelledby="log-title" ${follows && html` data-log="${live}"`}>
${text}</pre>
    ${length === 0 && html`<p class="faint" id="no-log">${follows ? "Nothing yet." : "There is none, or it is no longer kept."}</p>`}
  </section>`;
}

/** Follows an attempt's log from a byte on, as text that is harmless. */
export async function streamLog(
  ctx: Ctx,
  c: Context<SignedIn>,
  { taskId }: { taskId: string },
): Promise<Response> {
  const { attempt } = await findLog(ctx, { taskId, attempt: numberIn(c.req.query("attempt"), 1) });
  let offset = numberIn(c.req.header("last-event-id") ?? c.req.query("offset"), 0);
  return eventStream(ctx, c, async (out) => {
    const gone = new AbortController();
    out.onAbort(() => gone.abort());
    const { decode, begun } = logDecoder();
    for await (const bytes of followLog(ctx, { taskId, attempt, offset, signal: gone.signal })) {
      if ((await currentActor(ctx, c)) === null) break;
      offset += bytes.length;
      const data = JSON.stringify(decode(bytes));
      // Where a browser that comes again goes on.
      await out.writeSSE({ event: "log", data, id: String(offset - begun()) });
    }
    // A stream ends after a while, whatever it follows: only then does the browser not come again.
    if (await isRead(ctx, { taskId, attempt, offset }))
      await out.writeSSE({ event: "end", data: "" });
  });
}

/** Has the attempt ended, and was all of its log read up to `offset`? */
async function isRead(
  ctx: Ctx,
  { taskId, attempt, offset }: { taskId: string; attempt: number; offset: number },
): Promise<boolean> {
  const { ended } = await findLog(ctx, { taskId, attempt });
  return ended && (await logLength(ctx, { taskId, attempt })) <= offset;
}

/** The log's bytes as they are, for a file: no browser shows them. */
export async function downloadLog(
  ctx: Ctx,
  c: Context<SignedIn>,
  { taskId }: { taskId: string },
): Promise<Response> {
  const asked = c.req.query("attempt");
  const wanted = asked === undefined ? undefined : numberIn(asked, 1);
  const { attempt } = await findLog(ctx, { taskId, attempt: wanted });
  const bytes = await readLog(ctx, { taskId, attempt, offset: 0 });
  c.header("content-type", "text/plain; charset=utf-8");
  c.header("content-disposition", `attachment; filename="${taskId}-${attempt}.log"`);
  return c.body(new Uint8Array(bytes));
}
