import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { definitionOf } from "../../cli/project-text.ts";
import {
  definitionToKeep,
  originalDefinition,
  temporaryDefinition,
} from "../../cli/reseed-definition.ts";
import { toYaml } from "../../cli/yaml.ts";
import { type Project, projectCreateSchema } from "../../protocol/project.ts";
import { temporaryDirectory } from "../helpers/directory.ts";

const from = "rsync://ftp1.example.org/debian";
const parts = [
  { path: "a", upstream: "rsync://ftp.example.net/a/", fallbacks: [] },
  { path: "b", upstream: "rsync://ftp.example.org/b/", fallbacks: [] },
];
const filters = [{ action: "exclude", pattern: "/local/" }];

const projectOf = (fields: object, paused = false) =>
  ({
    ...projectCreateSchema.parse({ name: "debian", ...fields }),
    path: "debian",
    replicas: [
      { host: "master", role: "master", paused: false },
      { host: "ftp1", role: "ftp", paused },
    ],
  }) as unknown as Project;

const project = projectOf({ parts, schedule: "0 * * * *", rsync: { filters, maxDelete: 5 } });
const meanwhile = temporaryDefinition(project, { from });
const rsync = { ...project.rsync, ...meanwhile.rsync };
const begun = { ...project, ...meanwhile, rsync };

async function keep(of: Project) {
  const file = join(await temporaryDirectory(), "reseed-debian.yaml");
  await writeFile(file, toYaml({ projects: [{ name: "debian", ...definitionOf(of) }] }));
  return file;
}

test("meanwhile the whole tree comes from the one source, without filters or parts, and nothing is deleted", () => {
  expect(begun).toMatchObject({ upstream: `${from}/`, fallbacks: [], parts: [], schedule: null });
  expect(begun.rsync).toMatchObject({ delete: false, filters: [], indexesLast: null });
});

test("a login keeps its host among the sources, where nothing is pulled from: else its password were forgotten", () => {
  const login = { user: "mirror", host: "ftp.example.org", passwordSet: true };
  const { fallbacks } = temporaryDefinition({ ...project, login }, { from });
  expect(fallbacks).toEqual(["rsync://ftp.example.org/b/.mirrorfleet-reseed-nothing/"]);
});

test("a re-seed that was begun goes back to what its file kept; one that was not, to the project's definition", async () => {
  const file = await keep(project);
  const kept = await definitionToKeep(begun, { file, from });
  expect(originalDefinition(kept)).toEqual(originalDefinition(project));
  expect(await definitionToKeep(project, { file, from })).toMatchObject({ parts });
  const none = `${file}.none`;
  expect(await definitionToKeep(project, { file: none, from })).toEqual(definitionOf(project));
});

test("a file of an earlier re-seed is refused, with the cure, where the definition is another one now", async () => {
  const file = await keep(projectOf({ parts, rsync: { filters: [] } }));
  await expect(definitionToKeep(project, { file, from })).rejects.toMatchObject({
    code: "conflict",
    message: expect.stringMatching(/not of this re-seed.*move the file away.*apply -f/),
  });
});

test("without its file a re-seed that was begun elsewhere is refused, also with another source", async () => {
  const file = join(await temporaryDirectory(), "reseed-debian.yaml");
  const live = { ...projectOf({}, true), ...originalDefinition(begun) };
  for (const source of [from, "rsync://ftp2.example.org/debian/"])
    await expect(definitionToKeep(live, { file, from: source })).rejects.toMatchObject({
      code: "conflict",
      message: expect.stringMatching(/begun elsewhere.*--keep/),
    });
});
