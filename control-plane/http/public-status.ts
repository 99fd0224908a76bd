import { createHash } from "node:crypto";
import type { Context } from "hono";
import { z } from "zod";
import { AppError } from "../../protocol/errors.ts";
import { publicStatusSchema } from "../../protocol/site.ts";
import type { Ctx } from "../context.ts";
import { readPublicEvents } from "../db/queries/public-events.ts";
import { readPublicProjects, readPublicStatus } from "../db/queries/public-status.ts";
import { readIdentity, readSettings } from "../db/queries/settings.ts";
import { atomFeed } from "../feeds/atom.ts";
import { mirrorz } from "../feeds/mirrorz.ts";
import { tunasyncJobs } from "../feeds/tunasync.ts";
import { type Operation, raw } from "./operation.ts";

const freshSeconds = 30;

type Page = { text: string; type: string; etag: string };

const page = (text: string, type: string): Page => ({
  text,
  type,
  etag: `"${createHash("sha256").update(text).digest("base64url")}"`,
});

const json = (value: unknown) => page(JSON.stringify(value), "application/json");

/** An answer for everybody: caches keep it for a moment, pages of other sites may read it. */
function answer(c: Context, { text, type, etag }: Page): Response {
  const headers = {
    etag,
    "content-type": type,
    "cache-control": `public, max-age=${freshSeconds}`,
    "access-control-allow-origin": "*",
  };
  const known = (c.req.header("if-none-match") ?? "").split(",").map((tag) => tag.trim());
  return known.some((tag) => tag === etag || tag === `W/${etag}` || tag === "*")
    ? c.body(null, 304, headers)
    : c.body(text, 200, headers);
}

async function mirrorzPage(ctx: Ctx): Promise<Page> {
  const { site } = await readSettings(ctx);
  if (!site) throw new AppError("not-found", "the setting site is empty: who runs this mirror?");
  return json(mirrorz({ site, projects: await readPublicProjects(ctx) }));
}

async function feedPage(ctx: Ctx): Promise<Page> {
  const { site } = await readSettings(ctx);
  const { identity, begun } = await readIdentity(ctx);
  const text = await atomFeed({ identity, begun, site, events: await readPublicEvents(ctx) });
  return page(text, "application/atom+xml; charset=utf-8");
}

const common = { method: "GET" as const, tag: "public", access: "public" as const };

const jobs = (id: string, path: string): Operation =>
  raw(
    {
      ...common,
      id,
      path,
      summary: "Public projects as tunasync's manager lists its jobs",
      answer: z.array(z.record(z.string(), z.unknown())),
      errors: ["unavailable"],
    },
    async (ctx, c) =>
      answer(
        c,
        await ctx.share("tunasync", async () => json(tunasyncJobs(await readPublicProjects(ctx)))),
      ),
  );

/** The state of public projects for everybody, in the formats that status pages read. */
export const publicStatusOperations: Operation[] = [
  raw(
    {
      ...common,
      id: "getPublicStatus",
      path: "/v1/public/status",
      summary: "Public projects: their pulls, their size, and how fresh each host's copy is",
      answer: publicStatusSchema,
      errors: ["unavailable"],
    },
    async (ctx, c) =>
      answer(c, await ctx.share("status", async () => json(await readPublicStatus(ctx)))),
  ),
  jobs("getTunasyncJson", "/tunasync.json"),
  jobs("getTunasyncJobs", "/jobs"),
  raw(
    {
      ...common,
      id: "getMirrorz",
      path: "/mirrorz.json",
      summary: "Public projects and the setting site as mirrorz.json 1.7",
      answer: z.record(z.string(), z.unknown()),
      errors: ["not-found", "unavailable"],
    },
    async (ctx, c) => answer(c, await ctx.share("mirrorz", () => mirrorzPage(ctx))),
  ),
  raw(
    {
      ...common,
      id: "getFeed",
      path: "/feed.atom",
      summary: "Failures and recoveries of public projects, as an Atom feed (RFC 4287)",
      answer: "application/atom+xml; charset=utf-8",
      errors: ["unavailable"],
    },
    async (ctx, c) => answer(c, await ctx.share("feed", () => feedPage(ctx))),
  ),
];
