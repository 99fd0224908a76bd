import type { Context } from "hono";
import { html, type Html } from "./html.ts";
import { answerPage } from "./layout.ts";
import type { Site } from "./site.ts";

/** What is told this once: nobody can read it again, nor does a cache keep it. */
export const answerOnce = (
  site: Site,
  c: Context,
  { title, said }: { title: string; said: Html },
) =>
  answerPage(site, c, {
    title,
    section: "admin",
    content: html`<section class="card">
      <h1>${title}</h1>
      ${said}
      <p class="buttons">
        <button data-copy="once" type="button">Copy</button><a class="button" href="/admin">Done</a>
      </p>
    </section>`,
  });
