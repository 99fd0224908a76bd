import type { ProjectCreate } from "../../protocol/project.ts";
import { withoutSecrets } from "./secrets.ts";

/** What became of something that the old configuration said. */
export type Note = {
  kind: "taken" | "changed" | "impossible";
  /** Name of the project, or of the old configuration where there is none. */
  about: string;
  /** What the old configuration said. */
  what: string;
  /** What became of it, and why. */
  why: string;
};

/** A project in the making, and what is to be said about it. */
export type Imported = { projects: ProjectCreate[]; notes: Note[] };

/** Collects notes about one thing. */
export function noteTaker(about: string) {
  const notes: Note[] = [];
  let called = withoutSecrets(about);
  const add =
    (kind: Note["kind"]) =>
    (what: string, why: string): void =>
      void notes.push({ kind, about: called, what: withoutSecrets(what), why });
  /** What it is about has another name than was thought. */
  const rename = (name: string) => {
    called = name;
    for (const note of notes) note.about = name;
  };
  return {
    notes,
    rename,
    taken: add("taken"),
    changed: add("changed"),
    impossible: add("impossible"),
  };
}
export type NoteTaker = ReturnType<typeof noteTaker>;

const headings = {
  taken: "Taken over",
  changed: "Changed, and why",
  impossible: "Not possible, and what to do instead",
};

/** The report: what was taken over, changed and not possible, each by project; then what to do next. No secrets. */
export function reportText({ projects, notes }: Imported, { file }: { file: string }): string {
  const sections = (["taken", "changed", "impossible"] as const).map((kind) => {
    const told = notes.filter((note) => note.kind === kind);
    if (told.length === 0) return `${headings[kind]}: nothing`;
    const names = [...new Set(told.map(({ about }) => about))];
    const blocks = names.map((name) => {
      const lines = told.filter(({ about }) => about === name);
      return [`  ${name}`, ...lines.map(({ what, why }) => `    ${what}: ${why}`)].join("\n");
    });
    return [`${headings[kind]}:`, ...blocks].join("\n");
  });
  const keeping = projects.filter(({ rsync }) => rsync?.delete === false).map(({ name }) => name);
  const text = [
    `${projects.length} projects.`,
    ...sections,
    ...(keeping.length > 0 ? [`Nothing is ever deleted in: ${keeping.join(", ")}.`] : []),
    `Next: mirrorfleet apply -f ${file} --dry-run`,
  ].join("\n\n");
  return withoutSecrets(text);
}
