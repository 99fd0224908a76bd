import { z } from "zod";

/** A whole number in a query string. */
export const queryNumber = ({ min, max }: { min: number; max: number }) =>
  z
    .string()
    .regex(/^\d{1,9}$/, `must be a whole number from ${min} to ${max}`)
    .transform(Number)
    .pipe(z.int().min(min, `must be at least ${min}`).max(max, `must be at most ${max}`));

/** "1" or "true", "0" or "false" in a query string. */
export const queryFlag = z
  .enum(["1", "true", "0", "false"])
  .transform((text) => text === "1" || text === "true");

/** Query fields of every list: how many, and from where on. */
export const pageQuery = {
  limit: queryNumber({ min: 1, max: 200 }).default(50).meta({ description: "Items a page" }),
  cursor: z.string().max(500).optional().meta({ description: "`nextCursor` of the page before" }),
};

/** A page of a list. */
export const pageOf = <Item extends z.ZodType>(item: Item) =>
  z.object({
    items: z.array(item),
    nextCursor: z.string().nullable().meta({ description: "null: this is the last page" }),
  });
