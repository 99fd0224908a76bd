import { expect, test } from "vitest";
import { projectText } from "../../cli/project-text.ts";
import { type Project, projectCreateSchema } from "../../protocol/project.ts";

const textOf = (fields: object) =>
  projectText({
    path: "debian",
    ...projectCreateSchema.parse({ name: "debian", ...fields }),
    createdAt: "2026-01-01T00:00:00.000Z",
    nextRunAt: null,
    freshTargetSeconds: 3600,
    replicas: [],
  } as unknown as Project);

/** The part that is YAML. */
const yamlOf = (fields: object) => textOf(fields).split("\n\n")[0]!;

test("a project is shown by what was said of it; what is as by default is left out", () => {
  const upstream = "rsync://ftp.example.org/debian/";
  expect(yamlOf({ upstream })).toBe(`name: debian\nupstream: ${upstream}`);
  expect(yamlOf({ upstream, path: "debian", maxAttempts: 3 })).toBe(yamlOf({ upstream }));
});

test("of rsync's options those are shown that are not as by default, and another path is", () => {
  expect(yamlOf({ path: "pub/debian", rsync: { delete: false } })).toBe(
    "name: debian\npath: pub/debian\nrsync:\n  delete: false",
  );
});

test("a login is shown without its password", () => {
  const login = { user: "mirror", host: "ftp.example.org", password: "secret" };
  const text = textOf({ upstream: "rsync://ftp.example.org/debian/", login });
  expect(text).toContain("user: mirror");
  expect(text).not.toContain("secret");
});
