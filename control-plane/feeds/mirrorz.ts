import type { PublicStatus, Site } from "../../protocol/site.ts";
import { sizeText } from "./tunasync.ts";

type Project = PublicStatus["projects"][number] & { since: string | null };

const seconds = (iso: string | null) => (iso === null ? null : Math.floor(Date.parse(iso) / 1000));
const part = (letter: string, at: number | null) => (at === null ? "" : `${letter}${at}`);

/** A letter and its time, then the last success beside what is no success, then the next time. */
function statusOf({ state, updatedAt, startedAt, endedAt, nextAt, since }: Project): string {
  const [success, next] = [seconds(updatedAt), part("X", seconds(nextAt))];
  const last = part("O", success);
  switch (state) {
    case "succeeded":
      return `S${success ?? 0}${next}`;
    case "syncing":
      return `Y${seconds(startedAt) ?? 0}${last}${next}`;
    case "failed":
      return `F${seconds(endedAt) ?? 0}${last}${next}`;
    case "waiting":
      return `D${seconds(since) ?? 0}${next}`;
    case "paused":
      return `P${seconds(since) ?? 0}`;
    default:
      return "U";
  }
}

/** Public projects and their site as mirrorz.json 1.7. */
export const mirrorz = ({ site, projects }: { site: Site; projects: Project[] }) => ({
  version: 1.7,
  site,
  info: [],
  mirrors: projects.map((project) => ({
    cname: project.name,
    desc: project.description,
    url: `/${project.path}`,
    status: statusOf(project),
    help: "",
    upstream: project.upstream ?? "",
    size: project.bytes === null ? "" : sizeText(project.bytes),
  })),
});
