import { copyFile, mkdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { manifestOf } from "./bundle.ts";
import type { BuildCtx } from "./context.ts";

/** Files of other packages that the control plane serves: see control-plane/packaged-file.ts. */
const vendorFiles = {
  "htmx.org": ["dist/htmx.min.js"],
  uplot: ["dist/uPlot.iife.min.js", "dist/uPlot.min.css"],
  "swagger-ui-dist": ["swagger-ui-bundle.js", "swagger-ui.css"],
};

/** Copies them into `directory`. Answers the names of their packages. */
export async function copyVendorFiles(
  ctx: BuildCtx,
  { directory }: { directory: string },
): Promise<string[]> {
  for (const [name, files] of Object.entries(vendorFiles)) {
    const { directory: from } = manifestOf(ctx, { name });
    for (const file of files) {
      const to = join(directory, name, file);
      await mkdir(dirname(to), { recursive: true });
      await copyFile(join(from, file), to);
    }
  }
  return Object.keys(vendorFiles);
}
