import { hash } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { Context } from "hono";
import { AppError } from "../../protocol/errors.ts";
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

/** Versions that a URL names: of more, some together have one digest. Proxies take 8 kB of a request's head. */
const mostInUrl = 256;

/** As assets/versions.js has it (FNV-1a): what tells a browser's versions from ours, and guards nothing. */
function digestOf(versions: string[]): string {
  let hash = 0x811c9dc5;
  for (const character of versions.join(""))
    hash = Math.imul(hash ^ character.codePointAt(0)!, 0x01000193);
  return (hash >>> 0).toString(36).padStart(versionLength, "0").slice(-versionLength);
}

/** What a page's URL says of its parts: each version or, of many, a digest of some that follow on each other. */
export function versionsForUrl(versions: string[]): string {
  const together = Math.ceil(versions.length / mostInUrl);
  if (together <= 1) return versions.join("");
  const digests: string[] = [];
  for (let at = 0; at < versions.length; at += together)
    digests.push(digestOf(versions.slice(at, at + together)));
  return digests.join("");
}

/** Which of the parts a browser has, by what its URL says; null: its page has other parts. */
function knownOf(parts: Part[], { said, count }: { said: string[]; count: number }) {
  if (parts.length !== count) return null;
  const versions = parts.map(({ version }) => version);
  const together = said.length === count ? 1 : Math.ceil(count / mostInUrl);
  const ours = together === 1 ? versions : versionsIn(versionsForUrl(versions));
  return versions.map((version, index) => {
    const block = Math.floor(index / together);
    return said[block] === ours[block] ? version : null;
  });
}

/** `reload`: the page is to be another one now. */
type Round = { parts: Part[]; ended?: boolean; reload?: boolean };

/** What a page is about was removed meanwhile: loaded again, the page says so. */
function isGone(error: unknown): Round {
  if (error instanceof AppError && error.code === "not-found") return { parts: [], reload: true };
  throw error;
}

/**
 * Streams the parts of a page that differ from those that the browser has, whose versions it names, as they
 * change; asks anew each time whether who signed in still may. Ten minutes at most: browsers come again.
 */
export function streamParts(
  ctx: Ctx,
  c: Context,
  { everySeconds, read }: { everySeconds: number; read: () => Promise<Round> },
): Response {
  const said = versionsIn(c.req.query("v") ?? "");
  const count = Number(c.req.query("n") ?? said.length);
  let known: (string | null)[] | null = null;
  return eventStream(ctx, c, async (out) => {
    for (let waited = 0; !out.aborted && waited < longestSeconds; waited += everySeconds) {
      const { parts, ended = false, reload = false } = await read().catch(isGone);
      const mayGoOn = (await currentActor(ctx, c)) !== null;
      known ??= knownOf(parts, { said, count });
      if (!mayGoOn || reload || parts.length !== known?.length) {
        await out.writeSSE({ event: "reload", data: "" });
        return;
      }
      const before = known;
      const changed = parts.filter(({ version }, index) => version !== before[index]);
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
