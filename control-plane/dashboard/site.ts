import type { Ctx } from "../context.ts";
import type { AssetUrl } from "./assets.ts";
import type { Rest } from "./rest.ts";

/** What every page gets first. */
export type Site = {
  ctx: Ctx;
  asset: AssetUrl;
  /** Runs an operation of the REST interface as whoever is signed in. */
  rest: Rest;
};
