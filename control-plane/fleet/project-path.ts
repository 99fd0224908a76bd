import { and, gt, inArray, lt, ne, or, sql } from "drizzle-orm";
import { AppError } from "../../protocol/errors.ts";
import type { Ctx } from "../context.ts";
import { projects } from "../db/schema/projects.ts";

/** A path and the directories that it lies in. */
const pathsAbove = (path: string) =>
  path.split("/").map((_, index, segments) => segments.slice(0, index + 1).join("/"));

/** Refuses a path that lies within another project's: one's deletions would be the other's loss. @throws AppError `invalid-input`. */
export async function checkPath(
  { db }: Pick<Ctx, "db">,
  { path, name }: { path: string; name: string },
): Promise<void> {
  const [overlapping] = await db
    .select({ name: projects.name, path: projects.path })
    .from(projects)
    .where(
      and(
        ne(projects.name, name),
        // Its own index answers both: a file of 5,000 projects asks 5,000 times.
        or(
          inArray(projects.path, pathsAbove(path)),
          and(
            gt(sql`${projects.path} collate "C"`, `${path}/`),
            lt(sql`${projects.path} collate "C"`, `${path}0`),
          ),
        ),
      ),
    )
    .limit(1);
  if (!overlapping) return;
  const message = `"${path}" overlaps with "${overlapping.path}" of project ${overlapping.name}: choose another`;
  throw new AppError("invalid-input", `path ${message}`, { fields: [{ field: "path", message }] });
}
