import { expect, test } from "vitest";
import { originalDefinition, temporaryDefinition } from "../../cli/reseed-definition.ts";
import { createProject, useFleet } from "../helpers/fleet.ts";

const fleet = useFleet();

test("a project with parts and a login is what it was after a re-seed, and its password is still stored", async () => {
  const { operate } = fleet.current;
  const path = "/v1/projects/debian";
  const { body: before } = await createProject(fleet.current, {
    upstream: null,
    parts: [
      { path: "main", upstream: "rsync://ftp.example.org/main/", fallbacks: [] },
      { path: "more", upstream: "rsync://closed.example.org/more", fallbacks: [] },
    ],
    login: { user: "mirror", host: "closed.example.org", password: "secret" },
    schedule: "0 * * * *",
    sentinel: "project/trace/master",
    rsync: {
      filters: [{ action: "exclude", pattern: "/local/" }],
      indexesLast: "debian",
      indexPatterns: ["*.idx"],
      maxDelete: 5,
    },
  });
  const meanwhile = temporaryDefinition(before, { from: "rsync://ftp1.example.org/debian" });
  const patched = await operate("PATCH", path, meanwhile);
  expect(patched.status).toBe(200);
  expect(patched.body).toMatchObject(meanwhile);
  expect(patched.body.login).toMatchObject({ passwordSet: true });
  const { body: after } = await operate("PATCH", path, originalDefinition(before));
  expect(originalDefinition(after)).toEqual(originalDefinition(before));
  expect(after.login).toEqual(before.login);
  expect(after.login.passwordSet).toBe(true);
});
