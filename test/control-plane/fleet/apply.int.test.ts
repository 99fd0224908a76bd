import { expect, test } from "vitest";
import { createProject, useFleet } from "../../helpers/fleet.ts";

const fleet = useFleet();

async function apply(text: string, query = "") {
  const response = await fleet.current.app.request(`/v1/fleet${query}`, {
    method: "PUT",
    headers: {
      authorization: `Bearer ${fleet.current.admin}`,
      "content-type": "application/yaml",
    },
    body: text,
  });
  return { status: response.status, body: (await response.json()) as any };
}

const names = async () =>
  (await fleet.current.operate("GET", "/v1/projects?limit=200")).body.items.map(
    ({ name }: any) => name,
  );

const hundred = `projects:\n${Array.from(
  { length: 100 },
  (_, index) =>
    `  - {name: project-${index}, upstream: "rsync://a.example/m${index}", schedule: "${index % 60} */4 * * *"}`,
).join("\n")}\n`;

test("a file of a hundred projects makes them; applied again it changes nothing; a dry run neither", async () => {
  expect(await apply(hundred, "?dryRun=1")).toMatchObject({
    status: 200,
    body: { applied: false, summary: { create: 100, keep: 0 } },
  });
  expect(await names()).toEqual([]);
  expect((await apply(hundred)).body.summary).toEqual({
    create: 100,
    update: 0,
    remove: 0,
    keep: 0,
  });
  expect(await names()).toHaveLength(100);
  const again = await apply(hundred);
  expect(again.body).toMatchObject({ summary: { create: 0, update: 0, keep: 100 }, plan: [] });
  const project = await fleet.current.operate("GET", "/v1/projects/project-7");
  expect(project.body.version).toBe(1);
});

test("a change is planned field by field, and a password that is the same is none", async () => {
  const file = (schedule: string, password = "secret-one") =>
    `projects: [{name: a, upstream: "rsync://a.example/a", schedule: "${schedule}", login: {user: u, password: ${password}}}]`;
  await apply(file("0 4 * * *"));
  expect((await apply(file("0 4 * * *"))).body.plan).toEqual([]);
  expect((await apply(file("0 5 * * *"))).body.plan).toEqual([
    {
      action: "update",
      project: "a",
      changes: [{ field: "schedule", from: "0 4 * * *", to: "0 5 * * *" }],
    },
  ]);
  const changed = await apply(file("0 5 * * *", "secret-two"));
  expect(changed.body.plan[0].changes).toEqual([
    { field: "login.password", from: "(stored)", to: "(given)" },
  ]);
});

test("one bad project among good ones is named, and nothing is made", async () => {
  const answer = await apply(
    `projects:\n  - {name: good, upstream: "rsync://a.example/a"}\n  - {name: bad, upstream: "rsync://a.example/a", schedule: "0 0 30 2 *"}\n`,
  );
  expect(answer).toMatchObject({
    status: 422,
    body: { errors: [{ field: "projects.1.schedule" }] },
  });
  expect(await names()).toEqual([]);
});

test("projects that the file does not name stay, unless it is to prune", async () => {
  await createProject(fleet.current, { name: "old" });
  const file = `projects: [{name: new, upstream: "rsync://a.example/a"}]`;
  expect((await apply(file)).body.summary.remove).toBe(0);
  expect(await names()).toEqual(["new", "old"]);
  expect((await apply(file, "?prune=1")).body.plan).toEqual([
    { action: "remove", project: "old", changes: [] },
  ]);
  expect(await names()).toEqual(["new"]);
});

const bomb = `a: &a [x,x,x,x,x,x,x,x,x,x]
b: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]
c: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]
d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]
projects: [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]
`;

test.each([
  ["broken", "projects: [", 400, "malformed-body"],
  ["a duplicate key", "projects: []\nprojects: []", 400, "malformed-body"],
  ["a duplicate key in a project", "projects: [{name: a, name: b}]", 400, "malformed-body"],
  ["a bomb of anchors", bomb, 400, "malformed-body"],
  ["a project named twice", "projects: [{name: a}, {name: a}]", 422, "invalid-input"],
  ["an unknown field", "project: []", 422, "invalid-input"],
  ["a custom tag", "projects: !!js/function 'x'", 422, "invalid-input"],
  [
    "ten thousand projects",
    `projects: [${Array.from({ length: 10_000 }, (_, index) => `{name: p${index}}`).join()}]`,
    422,
    "invalid-input",
  ],
])("a file with %s is refused, and nothing is made", async (_, text, status, code) => {
  const answer = await apply(text);
  expect(answer).toMatchObject({ status, body: { code } });
  expect(answer.body.detail.length).toBeLessThan(5000);
  expect(await names()).toEqual([]);
});

test("each project that a file changes has an audit event of its own, with what was before and after", async () => {
  await createProject(fleet.current, { name: "gone", path: "gone" });
  await createProject(fleet.current, {
    name: "kept",
    path: "kept",
    upstream: "rsync://a.example/k",
  });
  await apply(
    'projects: [{name: kept, upstream: "rsync://a.example/k", description: new}, {name: made}]',
    "?prune=1",
  );
  const { items } = (await fleet.current.operate("GET", "/v1/audit-events?action=applyFleet")).body;
  const seen = Object.fromEntries(items.map((event: any) => [event.target, event]));
  expect(Object.keys(seen)).toHaveLength(3);
  expect(seen["/v1/projects/gone"]).toMatchObject({ before: { name: "gone" }, after: null });
  expect(seen["/v1/projects/made"]).toMatchObject({ before: null, after: { name: "made" } });
  expect(seen["/v1/projects/kept"]).toMatchObject({
    before: { description: "" },
    after: { description: "new" },
  });
});

test("a file that names another master than a project has is refused, not half followed", async () => {
  await createProject(fleet.current);
  const text = 'projects: [{name: debian, master: other, upstream: "rsync://a.example/k"}]';
  expect(await apply(text)).toMatchObject({
    status: 422,
    body: { errors: [{ field: "projects.0.master" }] },
  });
});
