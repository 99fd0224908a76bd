import { hash } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { Context } from "hono";
import type { Ctx } from "../context.ts";
import { eventStream } from "./event-stream.ts";
import { html, type Html, raw } from "./html.ts";
import { currentActor } from "./session.ts";

/** A piece of a page that is replaced when it has changed. */
export type Part = { id: string; version: string; html: Html };

const versionLength = 6;
const longestSeconds = 600;

/** Makes a part of a page. A page holds its parts in the order in which its stream reads them. */
export function part({
  id,
  tag = "div",
  className = "",
  content,
}: {
  id: string;
  tag?: string;
  className?: string;
  content: Html;
}): Part {
  const version = hash("md5", String(content), "base64url").slice(0, versionLength);
  const name = raw(tag);
  const kind = className && html` class="${className}"`;
  return {
    id,
    version,
    html: html`<${name} id="${id}" data-v="${version}" ${kind}>${content}</${name}>`,
  };
}

const versionsIn = (text: string): string[] =>
  text.match(new RegExp(`.{${versionLength}}`, "g")) ?? [];

/** `reload`: the page is to be another one now. */
type Round = { parts: Part[]; ended?: boolean; reload?: boolean };

/**
 * Streams the parts of a page that differ from those that the browser has, whose versions it names, as they
 * change; asks anew each time whether who signed in still may. Ten minutes at most: browsers come again.
 */
export function streamParts(
  ctx: Ctx,
  c: Context,
  { everySeconds, read }: { everySeconds: number; read: () => Promise<Round> },
): Response {
  let known = versionsIn(c.req.query("v") ?? "");
  return eventStream(ctx, c, async (out) => {
    for (let waited = 0; !out.aborted && waited < longestSeconds; waited += everySeconds) {
      const { parts, ended = false, reload = false } = await read();
      const mayGoOn = (await currentActor(ctx, c)) !== null;
      if (!mayGoOn || reload || parts.length !== known.length) {
        await out.writeSSE({ event: "reload", data: "" });
        return;
      }
      const changed = parts.filter(({ version }, index) => version !== known[index]);
      // Without a word now and then, nobody notices that the other end has gone.
      if (changed.length === 0) await out.write(":\n\n");
      else {
        const data = JSON.stringify(changed.map(({ id, html }) => [id, String(html)]));
        await out.writeSSE({ event: "parts", data });
      }
      if (ended) {
        await out.writeSSE({ event: "end", data: "" });
        return;
      }
      known = parts.map(({ version }) => version);
      await sleep(everySeconds * 1000);
    }
  });
}
