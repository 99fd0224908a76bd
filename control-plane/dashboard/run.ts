import type { Context, Hono } from "hono";
import type { RunDetail, Task } from "../../protocol/run.ts";
import { runsQuerySchema } from "../../protocol/run.ts";
import { parse } from "../../protocol/errors.ts";
import { runStates } from "../../protocol/states.ts";
import type { Actor } from "../auth/actor.ts";
import { type Deletions, latestDeletions } from "../db/queries/generations.ts";
import { readRun, readRuns } from "../db/queries/runs.ts";
import { operationButton } from "./buttons.ts";
import { chip, isHeld, taskChip } from "./chips.ts";
import { dryRunFindings } from "./dry-run.ts";
import { html, type Html } from "./html.ts";
import { checkedId } from "./ids.ts";
import { answerPage } from "./layout.ts";
import { type Part, part, streamParts } from "./live.ts";
import { progressOf } from "./progress.ts";
import { runBars, secondsOf } from "./run-bars.ts";
import type { SignedIn } from "./session.ts";
import type { Site } from "./site.ts";
import { undoButton } from "./undo.ts";
import { duration, plural, secondsBetween, size, when } from "./words.ts";

const hasEnded = ({ state }: RunDetail) =>
  state !== "queued" && state !== "running" && state !== "distributing";

function whatItDid(task: Task): Html | string {
  if (task.state === "leased") return progressOf(task);
  const { result } = task;
  if (!result) return "";
  if (isHeld(task))
    return `${plural(result.held?.deletions ?? 0, "deletion")} held, for a decision`;
  if (task.state !== "succeeded") return result.message;
  if (task.dryRun) return result.message;
  const bytes = result.stats?.literalBytes ?? 0;
  return `${plural(result.changes, "change")}, ${size(bytes)} of new data${result.scanned ? "" : ", by change list"}`;
}

function whatFor({ role, dryRun }: Task): string {
  if (dryRun) return "compares with upstream";
  return role === "master" ? "pulls from upstream" : "pulls from the master";
}

function taskRow(task: Task): Html {
  const spent =
    task.startedAt === null ? "" : duration(secondsBetween(task.startedAt, task.finishedAt));
  return html`<tr>
    <th scope="row"><a href="/tasks/${task.id}">${task.host}</a></th>
    <td>${whatFor(task)}</td>
    <td>
      ${taskChip(task)}${task.cancelRequested && task.state === "leased" ? " cancelling" : ""}
    </td>
    <td class="num">${task.attempt} of ${task.maxAttempts}</td>
    <td class="num">${spent}</td>
    <td class="said">${whatItDid(task)}</td>
  </tr>`;
}

function runParts(actor: Actor, run: RunDetail, deletions: Deletions | null): Part[] {
  const back = `/runs/${run.id}`;
  const failed = run.tasks.some(({ state }) => state === "failed" || state === "cancelled");
  return [
    part({
      id: "run-head",
      className: "head",
      content: html`<h1><a href="/projects/${run.project}">${run.project}</a> · run</h1>
        <p>
          ${chip(run.state)} ${run.trigger} · ${when(run.startedAt ?? run.scheduledFor)}
          ${run.startedAt !== null && html`· ${duration(secondsBetween(run.startedAt, run.finishedAt))}`}
          ${run.generation !== null && html`· generation ${run.generation}`}
        </p>
        ${run.reason !== null && html`<p class="note">${run.reason}</p>`}
        <div class="buttons">
          ${!hasEnded(run) && operationButton(actor, { path: `/v1/runs/${run.id}/cancel`, text: "Cancel", back, kind: "danger", confirm: "What waits ends at once, and what runs when its agent hears of it. What was transferred stays." })}
          ${deletions?.run === run.id && undoButton(actor, { project: run.project, back, deletions })}
          ${hasEnded(run) && failed && operationButton(actor, { path: `/v1/runs/${run.id}/retry`, text: "Try again what failed", back })}
        </div>`,
    }),
    part({
      id: "run-findings",
      content: html`${run.tasks.map(dryRunFindings)}`,
    }),
    part({
      id: "run-tasks",
      className: "card",
      content: html`<h2>Tasks</h2>
        ${run.tasks.length > 0 && runBars({ run, tasks: run.tasks, seconds: secondsOf({ run, tasks: run.tasks }) })}
        <div class="scroll">
          <table>
            <thead>
              <tr>
                <th scope="col">Host</th>
                <th scope="col">Does</th>
                <th scope="col">State</th>
                <th scope="col">Attempt</th>
                <th scope="col">Time</th>
                <th scope="col">What</th>
              </tr>
            </thead>
            <tbody>
              ${run.tasks.map(taskRow)}
            </tbody>
          </table>
        </div>
        ${run.tasks.length === 0 && html`<p class="faint">No host works on it yet.</p>`}`,
    }),
  ];
}

/** A table of runs, newest first. */
function runsTable(items: Awaited<ReturnType<typeof readRuns>>["items"]): Html {
  return html`<div class="scroll">
      <table>
        <thead>
          <tr>
            <th scope="col">When</th>
            <th scope="col">Project</th>
            <th scope="col">State</th>
            <th scope="col">Trigger</th>
            <th scope="col">Time</th>
            <th scope="col">Reason</th>
          </tr>
        </thead>
        <tbody>
          ${items.map(
            (run) =>
              html`<tr>
                <td><a href="/runs/${run.id}">${when(run.startedAt ?? run.scheduledFor)}</a></td>
                <td><a href="/projects/${run.project}">${run.project}</a></td>
                <td>${chip(run.state)}</td>
                <td>${run.trigger}</td>
                <td class="num">
                  ${run.startedAt !== null && duration(secondsBetween(run.startedAt, run.finishedAt))}
                </td>
                <td class="said">${run.reason}</td>
              </tr>`,
          )}
        </tbody>
      </table>
    </div>
    ${items.length === 0 && html`<p class="faint">There is none.</p>`}`;
}

async function answerRuns(site: Site, c: Context<SignedIn>) {
  const given = Object.fromEntries(Object.entries(c.req.query()).filter(([, text]) => text !== ""));
  const query = parse(runsQuerySchema, given, "the query");
  const { items, nextCursor } = await readRuns(site.ctx, query);
  const { project = "", state } = query;
  const more = new URLSearchParams({
    ...given,
    ...(nextCursor !== null && { cursor: nextCursor }),
  });
  return answerPage(site, c, {
    title: "Runs",
    section: "runs",
    content: html`<h1>Runs</h1>
      <form class="filters" role="search">
        <label>Project <input name="project" value="${project}" /></label>
        <label
          >State
          <select name="state">
            <option value="">any</option>
            ${runStates.map((each) => html`<option${each === state ? html` selected` : ""}>${each}</option>`)}
          </select></label
        >
        <button>Show</button>
      </form>
      ${runsTable(items)}
      ${nextCursor !== null && html`<p><a href="/runs?${more.toString()}">Older</a></p>`}`,
  });
}

/** Runs, and one run with its tasks. */
export function addRunPages(app: Hono<SignedIn>, site: Site): void {
  const partsOf = async (actor: Actor, run: RunDetail) =>
    runParts(actor, run, await latestDeletions(site.ctx, run));
  app.get("/runs", (c) => answerRuns(site, c));
  app.get("/runs/:id", async (c) => {
    const run = await readRun(site.ctx, { id: checkedId(c) });
    return answerPage(site, c, {
      title: `${run.project}: run`,
      section: "runs",
      live: hasEnded(run) ? null : `/runs/${run.id}/live`,
      content: html`${(await partsOf(c.get("actor"), run)).map((each) => each.html)}`,
    });
  });
  app.get("/runs/:id/live", (c) => {
    const id = checkedId(c);
    return streamParts(site.ctx, c, {
      everySeconds: 1,
      read: async () => {
        const run = await readRun(site.ctx, { id });
        return { parts: await partsOf(c.get("actor"), run), ended: hasEnded(run) };
      },
    });
  });
}
