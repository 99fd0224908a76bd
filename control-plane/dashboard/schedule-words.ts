import cronstrue from "cronstrue";
import type { Hono } from "hono";
import { AppError, parse } from "../../protocol/errors.ts";
import { previewQuerySchema } from "../../protocol/schedule.ts";
import { previewSchedule } from "../schedule/preview.ts";
import { html, type Html } from "./html.ts";
import type { SignedIn } from "./session.ts";
import { when } from "./words.ts";

/** A cron expression as a sentence; the expression itself where there is none for it. */
function sentence(schedule: string): string {
  try {
    return cronstrue.toString(schedule, { use24HourTimeFormat: true, verbose: true });
  } catch {
    return schedule;
  }
}

/** A schedule in words, and when it comes next. @throws AppError `invalid-input`. */
export function scheduleWords({ schedule, zone }: { schedule: string; zone: string }): Html {
  const query = parse(previewQuerySchema, { schedule, zone, count: "5" }, "the schedule");
  const { occurrences } = previewSchedule({ ...query, after: new Date() });
  return html`<p>${sentence(schedule)}, ${zone}.</p>
    <ol class="times">
      ${occurrences.map(
        ({ at, local, note }) =>
          html`<li>
            <code>${local}</code> <small>${when(at)}${note !== null && html` · ${note}`}</small>
          </li>`,
      )}
    </ol>`;
}

/** What somebody who types a schedule is shown. */
export function addScheduleWords(app: Hono<SignedIn>): void {
  app.get("/schedule-words", (c) => {
    const schedule = (c.req.query("optional:schedule") ?? "").trim();
    const zone = (c.req.query("text:zone") ?? "").trim() || "UTC";
    if (schedule === "")
      return c.html(html`<p class="faint">Without a schedule it syncs only when triggered.</p>`);
    try {
      return c.html(scheduleWords({ schedule, zone }));
    } catch (error) {
      if (!(error instanceof AppError) || error.code !== "invalid-input") throw error;
      const said = error.fields.map(({ field, message }) => `${field} ${message}`).join("; ");
      return c.html(html`<p class="bad">${said || error.message}</p>`);
    }
  });
}
