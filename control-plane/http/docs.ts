import { readFile } from "node:fs/promises";
import { Hono } from "hono";
import { secureHeaders } from "hono/secure-headers";
import { version } from "../../protocol/version.ts";
import { vendorFile } from "../packaged-file.ts";
import { openApiDocument } from "./openapi.ts";
import { operations } from "./operations.ts";

const page = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>mirrorfleet API</title>
<link rel="stylesheet" href="/docs/swagger-ui.css">
<div id="page"></div>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</html>
`;

const start = `SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#page",
  deepLinking: true,
  displayRequestDuration: true,
  tryItOutEnabled: true,
  validatorUrl: null,
});
`;

const packaged = (name: string) => readFile(vendorFile(`swagger-ui-dist/${name}`));

/** The OpenAPI document, and a page to read and try it that needs nothing from the internet. */
export function docsRoutes(): Hono {
  const script = { "content-type": "text/javascript; charset=utf-8" };
  const app = new Hono()
    .get("/openapi.json", (c) => c.json(openApiDocument({ operations, version })))
    .get("/docs/start.js", (c) => c.body(start, 200, script))
    .get("/docs/swagger-ui-bundle.js", async (c) =>
      c.body(new Uint8Array(await packaged("swagger-ui-bundle.js")), 200, script),
    )
    .get("/docs/swagger-ui.css", async (c) =>
      c.body(new Uint8Array(await packaged("swagger-ui.css")), 200, { "content-type": "text/css" }),
    );
  app.get(
    "/docs",
    secureHeaders({
      contentSecurityPolicy: {
        defaultSrc: ["'self'"],
        styleSrc: ["'self'", "'unsafe-inline'"],
        imgSrc: ["'self'", "data:"],
        objectSrc: ["'none'"],
        frameAncestors: ["'none'"],
        baseUri: ["'none'"],
      },
    }),
    (c) => c.html(page),
  );
  return app;
}
