import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { Hono } from "hono";
import { packagedFile, vendorFile } from "../packaged-file.ts";

const script = "text/javascript; charset=utf-8";
const style = "text/css; charset=utf-8";

/** What pages load: all of it from this package, so that it works with no internet. */
const files = {
  "dashboard.css": { own: "control-plane/dashboard/assets/dashboard.css", type: style },
  "dashboard.js": { own: "control-plane/dashboard/assets/dashboard.js", type: script },
  "versions.js": { own: "control-plane/dashboard/assets/versions.js", type: script },
  "icon.svg": { own: "control-plane/dashboard/assets/icon.svg", type: "image/svg+xml" },
  "htmx.js": { vendor: "htmx.org/dist/htmx.min.js", type: script },
  "uplot.js": { vendor: "uplot/dist/uPlot.iife.min.js", type: script },
  "uplot.css": { vendor: "uplot/dist/uPlot.min.css", type: style },
} as const;

export type AssetUrl = (name: keyof typeof files) => string;

const immutable = "public, max-age=31536000, immutable";

/** Reads the assets. Their URLs hold a hash of them all: a browser keeps them until they change. */
export function openAssets(): { url: AssetUrl; routes: Hono } {
  const contents = new Map(
    Object.entries(files).map(([name, file]) => {
      const path = "own" in file ? packagedFile(file.own) : vendorFile(file.vendor);
      return [name, { type: file.type, bytes: new Uint8Array(readFileSync(path)) }];
    }),
  );
  const hash = createHash("sha256");
  for (const { bytes } of contents.values()) hash.update(bytes);
  const version = hash.digest("hex").slice(0, 12);
  const routes = new Hono().get("/assets/:version/:name", (c, next) => {
    const file = contents.get(c.req.param("name"));
    if (!file) return next();
    // During an upgrade, a page of one version may ask a replica of another.
    const isOurs = c.req.param("version") === version;
    return c.body(file.bytes, 200, {
      "content-type": file.type,
      "cache-control": isOurs ? immutable : "no-cache",
    });
  });
  return { url: (name) => `/assets/${version}/${name}`, routes };
}
