import type { PublicStatus } from "../../protocol/site.ts";

type Project = PublicStatus["projects"][number];

const statuses = {
  none: "none",
  waiting: "pre-syncing",
  syncing: "syncing",
  succeeded: "success",
  failed: "failed",
  paused: "paused",
} as const satisfies Record<Project["state"], string>;

/** Bytes as rsync -h writes them: "55.61G"; "unknown" for none. */
export function sizeText(bytes: number | null): string {
  if (bytes === null) return "unknown";
  const power = Math.min(5, Math.floor(Math.log10(Math.max(1, bytes)) / 3));
  return power === 0 ? `${bytes}` : `${(bytes / 1000 ** power).toFixed(2)}${" KMGTP"[power]}`;
}

/** Both forms of a time; never is Go's zero time. */
function times(name: string, iso: string | null) {
  const [text, seconds] =
    iso === null
      ? ["0001-01-01 00:00:00 +0000", -62_135_596_800]
      : [`${iso.slice(0, 19).replace("T", " ")} +0000`, Math.floor(Date.parse(iso) / 1000)];
  return { [name]: text, [`${name}_ts`]: seconds };
}

/** Public projects as tunasync's manager lists its jobs. */
export const tunasyncJobs = (projects: Project[]) =>
  projects.map((project) => ({
    name: project.name,
    is_master: true,
    status: statuses[project.state],
    ...times("last_update", project.updatedAt),
    ...times("last_started", project.startedAt),
    ...times("last_ended", project.endedAt),
    ...times("next_schedule", project.nextAt),
    upstream: project.upstream ?? "",
    size: sizeText(project.bytes),
  }));
