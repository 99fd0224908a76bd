import type { Context, Hono } from "hono";
import type { Replica } from "../../protocol/project.ts";
import type { TaskDetail } from "../../protocol/run.ts";
import type { Actor } from "../auth/actor.ts";
import { readReplicaPage } from "../db/queries/replicas.ts";
import { readTask } from "../db/queries/tasks.ts";
import { operationButton } from "./buttons.ts";
import { chip, isHeld, taskChip } from "./chips.ts";
import { heldDeletions } from "./held.ts";
import { dryRunFindings } from "./dry-run.ts";
import { html, type Html } from "./html.ts";
import { checkedId } from "./ids.ts";
import { answerPage } from "./layout.ts";
import { type Part, part, streamParts } from "./live.ts";
import { attemptOf, downloadLog, logSection, streamLog } from "./log.ts";
import { explain } from "./outcomes.ts";
import { progressOf } from "./progress.ts";
import type { SignedIn } from "./session.ts";
import type { Site } from "./site.ts";
import { count, duration, secondsBetween, size, when } from "./words.ts";

const hasEnded = ({ state }: TaskDetail) => state !== "queued" && state !== "leased";

function resultOf({ result }: TaskDetail): Html | "" {
  if (!result) return "";
  const { meaning, advice } = explain(result);
  const { stats, exitCode, message } = result;
  return html`<dl class="facts">
    <dt>Ended</dt>
    <dd>
      ${result.outcome}${exitCode !== null && html`, exit code ${exitCode}`}: ${meaning} ${advice}
    </dd>
    ${
      message &&
      html`<dt>Message</dt>
        <dd class="said">${message}</dd>`
    }
    <dt>Time</dt>
    <dd>${duration(result.seconds)}</dd>
    <dt>Changes</dt>
    <dd>
      ${count(result.changes)}${stats && html`: ${count(stats.created)} created, ${count(stats.deleted)} deleted, ${count(stats.transferred)} transferred`}
    </dd>
    ${
      stats &&
      html`<dt>Tree</dt>
        <dd>${count(stats.files)} entries, ${size(stats.totalBytes)}</dd>
        <dt>Received</dt>
        <dd>
          ${size(stats.receivedBytes)} over the network, ${size(stats.literalBytes)} of new data
        </dd>`
    }
    ${
      result.drift &&
      html`<dt>Drift</dt>
        <dd>
          ${count(result.drift.entries)} entries were not as they should be:
          ${result.drift.examples.map((path) => html`<code>${path}</code> `)}
        </dd>`
    }
  </dl>`;
}

function attemptRow(
  { id }: TaskDetail,
  { attempt, state, result, startedAt, finishedAt }: TaskDetail["attempts"][number],
): Html {
  return html`<tr>
    <th scope="row"><a href="/tasks/${id}?attempt=${attempt}">${attempt}</a></th>
    <td>${chip(state)}</td>
    <td>${when(startedAt)}</td>
    <td class="num">${duration(secondsBetween(startedAt, finishedAt))}</td>
    <td class="said">${result && (result.message || result.outcome)}</td>
  </tr>`;
}

function taskParts(actor: Actor, task: TaskDetail): Part[] {
  const back = `/tasks/${task.id}`;
  const ended = hasEnded(task);
  const path = `/v1/tasks/${task.id}`;
  const again = ended && task.state !== "succeeded" && !isHeld(task);
  return [
    part({
      id: "task-head",
      className: "head",
      content: html`<h1>
          <a href="/projects/${task.project}">${task.project}</a> on
          <a href="/hosts/${task.host}">${task.host}</a>
        </h1>
        <p>
          ${taskChip(task)} ${task.cancelRequested && !ended ? "cancelling · " : ""}attempt
          ${task.attempt} of ${task.maxAttempts} · queued ${when(task.queuedAt)} ·
          <a href="/runs/${task.runId}">its run</a>
        </p>
        ${task.state === "leased" && html`<p>${progressOf(task)}</p>`}
        ${isHeld(task) && heldDeletions(actor, { task, back })}
        <div class="buttons">
          ${!ended && !task.cancelRequested && operationButton(actor, { path: `${path}/cancel`, text: "Cancel", back, kind: "danger", confirm: "rsync is ended on that host. What was transferred stays." })}
          ${again && operationButton(actor, { path: `${path}/retry`, text: "Try again", back })}
        </div>
        ${resultOf(task)}${dryRunFindings(task)}`,
    }),
    part({
      id: "task-attempts",
      className: "card",
      content: html`<h2>Attempts</h2>
        ${
          task.attempts.length === 0
            ? html`<p class="faint">None yet: it waits for its host.</p>`
            : html`<div class="scroll">
                <table>
                  <thead>
                    <tr>
                      <th scope="col">Attempt</th>
                      <th scope="col">State</th>
                      <th scope="col">Began</th>
                      <th scope="col">Time</th>
                      <th scope="col">Message</th>
                    </tr>
                  </thead>
                  <tbody>
                    ${task.attempts.map((each) => attemptRow(task, each))}
                  </tbody>
                </table>
              </div>`
        }`,
    }),
  ];
}

/** From where and to where; the order itself is not kept, and its passwords are nobody's to see. */
function placesOf({ source, root, path }: Replica): Html {
  return html`<section class="card">
    <h2>From and to</h2>
    <dl class="facts">
      <dt>Source</dt>
      <dd><code>${source}</code></dd>
      <dt>Destination</dt>
      <dd><code>${root ?? "(first mirror root)"}/${path}</code></dd>
    </dl>
  </section>`;
}

async function answerTask(site: Site, c: Context<SignedIn>) {
  const task = await readTask(site.ctx, { id: checkedId(c) });
  const followsLatest = attemptOf(c, task) === task.attempt;
  const live = `/tasks/${task.id}/live${followsLatest ? `?attempt=${task.attempt}` : ""}`;
  const { items: replicas } = await readReplicaPage(site.ctx, {
    project: task.project,
    host: task.host,
    limit: 1,
  });
  return answerPage(site, c, {
    title: `${task.project} on ${task.host}`,
    section: "runs",
    live: hasEnded(task) ? null : live,
    content: html`${taskParts(c.get("actor"), task).map((each) => each.html)}
    ${await logSection(site.ctx, c, { task })} ${replicas.map(placesOf)}`,
  });
}

/** One task: how far it is, how it ended, its attempts, its log. */
export function addTaskPages(app: Hono<SignedIn>, site: Site): void {
  const { ctx } = site;
  app.get("/tasks/:id", (c) => answerTask(site, c));
  app.get("/tasks/:id/live", (c) => {
    const id = checkedId(c);
    const shown = c.req.query("attempt");
    return streamParts(ctx, c, {
      everySeconds: 1,
      read: async () => {
        const task = await readTask(ctx, { id });
        // The next attempt has a log of its own.
        const reload = shown !== undefined && shown !== String(task.attempt);
        return { parts: taskParts(c.get("actor"), task), ended: hasEnded(task), reload };
      },
    });
  });
  app.get("/tasks/:id/log/live", (c) => streamLog(ctx, c, { taskId: checkedId(c) }));
  app.get("/tasks/:id/log.txt", (c) => downloadLog(ctx, c, { taskId: checkedId(c) }));
}
