import { z } from "zod";

/** A time of ISO 8601 with its offset, in the years that databases and calendars agree on. */
export const instant = z.iso.datetime({ offset: true }).refine((text) => {
  const year = new Date(text).getUTCFullYear();
  return year >= 1970 && year <= 9999;
}, "must lie in the years 1970 to 9999");
