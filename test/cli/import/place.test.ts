import { expect, test } from "vitest";
import { type Draft, placeDrafts } from "../../../cli/import/place.ts";
import { noteTaker } from "../../../cli/import/report.ts";

const draft = (destination: string, name = "debian"): Draft => ({
  name,
  destination,
  fields: { upstream: `rsync://h.example${destination}/`, schedule: "1 * * * *" },
  take: noteTaker(name),
});

const place = (drafts: Draft[], roots: string[]) => {
  const { projects, notes } = placeDrafts(drafts, { roots, notes: [] });
  return { projects, changed: notes.filter(({ kind }) => kind === "changed") };
};

test("a project below another root than the first starts nowhere before it is moved there", () => {
  const { projects, changed } = place(
    [draft("/srv/a/debian"), draft("/srv/b/arch", "arch")],
    ["/srv/a", "/srv/b"],
  );
  expect(projects.map(({ name, schedule }) => [name, schedule])).toEqual([
    ["debian", "1 * * * *"],
    ["arch", null],
  ]);
  expect(changed).toEqual([
    {
      kind: "changed",
      about: "arch",
      what: "/srv/b/arch",
      why: expect.stringContaining(
        'mirrorfleet replica move arch MASTER /srv/b; then write schedule "1 * * * *" into the file',
      ),
    },
  ]);
});

test("the commands name a project as it is called in the fleet file", () => {
  const { projects, changed } = place(
    [draft("/srv/a/debian"), draft("/srv/b/debian")],
    ["/srv/a", "/srv/b"],
  );
  expect(projects.map(({ name }) => name)).toEqual(["debian", "debian-2"]);
  expect(changed.map(({ why }) => why).join()).toContain("replica move debian-2 MASTER /srv/b");
});

test("of roots that lie in each other the deepest one is taken", () => {
  const { projects } = place(
    [draft("/srv/disk2/debian"), draft("/srv/arch", "arch")],
    ["/srv/disk2", "/srv"],
  );
  expect(projects.map(({ name, path, schedule }) => [name, path, schedule])).toEqual([
    ["debian", undefined, "1 * * * *"],
    ["arch", undefined, null],
  ]);
  const other = place([draft("/srv/disk2/debian")], ["/srv", "/srv/disk2"]);
  expect(other.projects[0]).toMatchObject({ name: "debian", schedule: null });
  expect(other.projects[0]).not.toHaveProperty("path");
});
