import { posix } from "node:path";
import { isRelativePath, projectName } from "../../protocol/names.ts";
import type { ProjectCreate } from "../../protocol/project.ts";
import { type Imported, type NoteTaker } from "./report.ts";

/** A project in the making: where the old configuration put it, and all but its name and path. */
export type Draft = {
  name: string;
  destination: string;
  fields: Omit<ProjectCreate, "name" | "path">;
  take: NoteTaker;
  /** Way of a script's condition that it stands in. */
  way?: object | null;
};

/** A valid project name that looks like a text; null where nothing of it can stand in one. */
export function nameLike(text: string): string | null {
  const name = text
    .toLowerCase()
    .replaceAll(/[^a-z0-9._-]+/g, "-")
    .replaceAll(/\.{2,}/g, ".")
    .replaceAll(/^[^a-z0-9]+|[^a-z0-9]+$/g, "")
    .slice(0, 63);
  return projectName.safeParse(name).success ? name : null;
}

/** The deepest directory that holds all of these. */
function commonDirectory(paths: string[]): string {
  const [first = [], ...others] = paths.map((path) => posix.dirname(path).split("/"));
  const until = first.findIndex((segment, at) => others.some((other) => other[at] !== segment));
  return (until === -1 ? first : first.slice(0, until)).join("/") || "/";
}

const within = (path: string, directory: string) =>
  `${path}/`.startsWith(directory === "/" ? "/" : `${directory}/`);

/** Patterns that a first pass left out and a second did not: indexes that came last. */
function mergeStages(first: Draft, second: Draft): void {
  const patterns = (draft: Draft) =>
    (draft.fields.rsync?.filters ?? [])
      .filter(({ action }) => action === "exclude")
      .map(({ pattern }) => pattern);
  const later = patterns(first).filter((pattern) => !patterns(second).includes(pattern));
  const debian = later.some((pattern) => pattern.includes("Packages"));
  second.fields.rsync = {
    ...second.fields.rsync,
    ...(debian && { indexesLast: "debian" as const }),
    ...(!debian && later.length > 0 && { indexPatterns: later }),
  };
  second.take.taken(
    "two passes into one directory",
    later.length > 0
      ? `one project: ${debian ? "rsync.indexesLast is debian" : `rsync.indexPatterns has ${later.join(" ")}`}`
      : "one project: mirrorfleet shows new files only when all have come, and deletes after that",
  );
}

/** Of two passes that need not run together, it is not known which one protects what the other deletes. */
function keepAll(first: Draft, second: Draft): void {
  if (!first.fields.rsync?.delete && !second.fields.rsync?.delete) return;
  second.fields.rsync = { ...second.fields.rsync, delete: false };
  delete second.fields.rsync.maxDelete;
  second.take.changed(
    "--delete",
    "nothing is deleted: the script has several rsyncs for this directory, and a condition chooses: compare them, then set rsync.delete",
  );
}

/** Makes one of what two passes from one source into one directory were; says where directories overlap. */
function withoutOverlaps(drafts: Draft[]): Draft[] {
  const kept: Draft[] = [];
  for (const draft of drafts) {
    const same = kept.findIndex(({ destination }) => destination === draft.destination);
    const before = kept[same];
    if (before && before.fields.upstream === draft.fields.upstream) {
      const together = (before.way ?? null) === (draft.way ?? null);
      const alike = JSON.stringify(before.fields.rsync) === JSON.stringify(draft.fields.rsync);
      if (!together && !alike) keepAll(before, draft);
      mergeStages(before, draft);
      kept[same] = draft;
      continue;
    }
    const other = kept.find(
      ({ destination }) =>
        within(destination, draft.destination) || within(draft.destination, destination),
    );
    if (other)
      draft.take.impossible(
        draft.destination,
        `overlaps with ${other.name}, and one would delete what is the other's: make them one project with parts, or add this source to its fallbacks`,
      );
    else kept.push(draft);
  }
  return kept;
}

/** What to do with a project whose tree lies below another root than the first. */
function moveOf(name: string, { root, fields }: { root: string; fields: Draft["fields"] }): string {
  const { schedule } = fields;
  return [
    "has no schedule yet, since it would start below the first mirror root. After applying, MASTER being the project's master:",
    `mirrorfleet replica move ${name} MASTER ${root};`,
    schedule
      ? `then write schedule "${schedule}" into the file, and apply it again`
      : "then trigger it",
  ].join(" ");
}

/** Gives each project a name of its own and its path below a mirror root. `roots`: those that were named. */
export function placeDrafts(
  drafts: Draft[],
  { roots, notes }: { roots: string[]; notes: Imported["notes"] },
): Imported {
  const normal = drafts.map((draft) => ({
    ...draft,
    destination: posix.resolve(draft.destination),
  }));
  const kept = withoutOverlaps(normal);
  const named =
    roots.length > 0 || kept.length === 0
      ? roots.map((root) => posix.resolve(root))
      : [commonDirectory(kept.map(({ destination }) => destination))];
  const taken = new Set<string>();
  const projects: ProjectCreate[] = [];
  for (const { name, destination, fields, take } of kept) {
    const root = named
      .filter((each) => within(destination, each) && destination !== each)
      .toSorted((one, other) => other.length - one.length)[0];
    const path = root && posix.relative(root, destination);
    if (root === undefined || !isRelativePath(path!)) {
      take.impossible(
        destination,
        root === undefined
          ? `lies below none of the mirror roots ${named.join(", ")}: name its root with --root`
          : "its path has characters that no project's may have: rename the directory",
      );
      continue;
    }
    const unique = [
      name,
      ...Array.from({ length: 99 }, (_, index) => `${name.slice(0, 59)}-${index + 2}`),
    ];
    const own = unique.find((each) => !taken.has(each))!;
    taken.add(own);
    if (own !== name) {
      take.rename(own);
      take.changed(name, `is called ${own}: another project has that name`);
    }
    const inFirst = root === named[0];
    if (root === "/")
      take.changed(destination, "its mirror root would be /: name the real one with --root");
    if (!inFirst) take.changed(destination, moveOf(own, { root, fields }));
    projects.push({
      name: own,
      ...(path !== own && { path: path! }),
      ...fields,
      // A project starts below its master's first root: it must not before it has been moved.
      ...(!inFirst && { schedule: null }),
    });
    take.taken(destination, `from ${fields.upstream}`);
  }
  if (named.length > 0)
    notes.push({
      kind: "taken",
      about: "mirror root",
      what: named.join(", "),
      why: `on the master, MIRRORFLEET_MIRROR_ROOTS=${named.join(":")}; what lies there is taken up, not fetched again`,
    });
  return { projects, notes: [...normal.flatMap(({ take }) => take.notes), ...notes] };
}
