import type { FileHandle } from "node:fs/promises";
import { Readable } from "node:stream";
import type { Context } from "hono";
import { z } from "zod";
import { AppError } from "../../protocol/errors.ts";
import { readJoinScript } from "../joining/join-script.ts";
import { openPackage } from "../joining/packages.ts";
import { byteRange } from "./byte-range.ts";
import { type Operation, raw } from "./operation.ts";

const tag = "public";

const packageParams = z.object({
  file: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._+~-]{0,199}$/),
});

type Opened = { file: FileHandle; size: number; type: string; sum: string };

/** Answers the file, or the range of it that the request asks for; the file is closed in any case. */
async function answerFile(c: Context, { file, size, type, sum }: Opened): Promise<Response> {
  c.header("accept-ranges", "bytes");
  c.header("content-range", `bytes */${size}`);
  const range = byteRange(c.req.header("range"), { length: size });
  const { from, to } = range ?? { from: 0, to: size };
  c.header("content-range", range ? `bytes ${from}-${to - 1}/${size}` : undefined);
  c.header("content-type", type);
  c.header("content-length", String(to - from));
  c.header("etag", `"${sum}"`);
  // What has this name may be built anew.
  c.header("cache-control", "public, no-cache");
  const status = range ? 206 : 200;
  if (c.req.method === "HEAD" || to === from) {
    await file.close();
    return c.body(null, status);
  }
  const stream = file.createReadStream({ start: from, end: to - 1 });
  return c.body(Readable.toWeb(stream) as ReadableStream<Uint8Array>, status);
}

/** What a host needs before it has joined, without credentials: each piece is pinned by the one before. */
export const joiningOperations: Operation[] = [
  raw(
    {
      id: "getJoinScript",
      method: "GET",
      path: "/v1/public/join.sh",
      tag,
      access: "public",
      summary:
        "The script that an invitation's line runs; its SHA-256 is in the line, and those of the packages are in it",
      answer: "text/x-shellscript; charset=utf-8",
      errors: ["not-found"],
    },
    async (ctx, c) => {
      const found = await readJoinScript(ctx);
      if ("why" in found) throw new AppError("not-found", found.why);
      return c.body(found.script, 200, { "content-type": "text/x-shellscript; charset=utf-8" });
    },
  ),
  raw(
    {
      id: "getPackage",
      method: "GET",
      path: "/v1/public/packages/{file}",
      tag,
      access: "public",
      summary: "A file that the control plane's build names in its SHA256SUMS",
      params: packageParams,
      answer: "application/octet-stream",
      errors: ["not-found"],
      ranged: true,
    },
    async (ctx, c, { params }) => {
      const opened = await openPackage({ directory: ctx.packagesDirectory, name: params.file });
      try {
        return await answerFile(c, opened);
      } catch (error) {
        await opened.file.close();
        throw error;
      }
    },
  ),
];
