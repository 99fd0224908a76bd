import { sql } from "drizzle-orm";
import { expect, test } from "vitest";
import { createProject, useFleet } from "../../helpers/fleet.ts";

const fleet = useFleet();

async function rowCounts() {
  const {
    rows: [row],
  } = await fleet.current.ctx.db.execute(
    sql`select (select count(*) from projects) projects, (select count(*) from hosts) hosts, (select count(*) from runs) runs`,
  );
  return row;
}

const url = (text: string) => ({ upstream: text });

test.each([
  ["a name that begins with -", { name: "-rf" }, "name"],
  ["a name with ..", { name: "a..b" }, "name"],
  ["a name with a newline", { name: "a\nb" }, "name"],
  ["an upstream host that begins with -", url("rsync://-e/debian"), "upstream"],
  ["an upstream host with shell syntax", url("rsync://a;reboot/debian"), "upstream"],
  ["an upstream host with $()", url("rsync://$(reboot)/debian"), "upstream"],
  ["an upstream host with a space", url("rsync://a b/debian"), "upstream"],
  ["an upstream host with a newline", url("rsync://a\nb/debian"), "upstream"],
  ["an upstream host with NUL", url("rsync://a\0b/debian"), "upstream"],
  ["an upstream host with ..", url("rsync://a..b/debian"), "upstream"],
  ["a module that begins with -", url("rsync://a/-e"), "upstream"],
  ["a module with shell syntax", url("rsync://a/`reboot`"), "upstream"],
  ["a module with a space", url("rsync://a/b c"), "upstream"],
  ["a module with a newline", url("rsync://a/b\nc"), "upstream"],
  ["a module with NUL", url("rsync://a/b\0c"), "upstream"],
  ["a module with ..", url("rsync://a/.."), "upstream"],
  ["a path with ..", url("rsync://a/debian/../../etc"), "upstream"],
  ["a path with a glob", url("rsync://a/debian/*"), "upstream"],
  ["a password in the URL", url("rsync://u:secret@a/debian"), "upstream"],
  ["port 0", url("rsync://a:0/debian"), "upstream"],
  ["port 70000", url("rsync://a:70000/debian"), "upstream"],
  ["a port that is a word", url("rsync://a:rsync/debian"), "upstream"],
  ["another scheme", url("file:///etc"), "upstream"],
  ["destination /", { path: "/" }, "path"],
  ["the mirror root itself as destination", { path: "." }, "path"],
  ["an empty destination", { path: "" }, "path"],
  ["an absolute destination", { path: "/etc" }, "path"],
  ["a destination with NUL", { path: "a\0b" }, "path"],
  ["a destination with a newline", { path: "a\nb" }, "path"],
  ["a destination that climbs out", { path: "a/../../etc" }, "path"],
  ["a cron expression that never fires", { schedule: "0 0 30 2 *" }, "schedule"],
  ["an unknown zone", { schedule: "0 0 * * *", zone: "Europe/Atlantis" }, "zone"],
  ["an unknown field", { upstreem: "x" }, "upstreem"],
  ["an unknown rsync option", { rsync: { rsh: "sh -c reboot" } }, "rsync.rsh"],
  ["a host that is not in the fleet", { hosts: ["nowhere"] }, "hosts"],
  ["a master that is none", { master: "ftp1" }, "master"],
])(
  "a project with %s is refused, names the field, and leaves nothing behind",
  async (_, input, field) => {
    const before = await rowCounts();
    const answer = await createProject(fleet.current, input as object);
    expect(answer.status).toBe(422);
    expect(answer.body.errors.map((error: any) => error.field)).toContain(field);
    expect(answer.body.detail).not.toContain("secret");
    expect(await rowCounts()).toEqual(before);
  },
);

test("a project inside another project's directory is refused", async () => {
  await createProject(fleet.current, { name: "a", path: "pub/debian" });
  for (const path of ["pub", "pub/debian", "pub/debian/dists"]) {
    expect((await createProject(fleet.current, { name: "b", path })).body.errors[0].field).toBe(
      "path",
    );
  }
  expect(
    (await createProject(fleet.current, { name: "b", path: "pub/debian-security" })).status,
  ).toBe(201);
});

test.each([
  ["a string", "873"],
  ["0", 0],
  ["70000", 70_000],
])("a daemon port that is %s is refused", async (_, port) => {
  const answer = await fleet.current.master.request("POST", "/v1/agent/poll", {
    pollId: crypto.randomUUID(),
    agentVersion: "test",
    waitSeconds: 0,
    daemonUsersVersion: null,
    daemonPort: port,
    roots: [{ path: "/srv/mirror", module: "mirror" }],
  });
  expect(answer).toMatchObject({ status: 422, body: { errors: [{ field: "daemonPort" }] } });
});

test("a body of 10 MB is refused unread", async () => {
  const answer = await fleet.current.operate(
    "POST",
    "/v1/projects",
    JSON.stringify({ name: "a".repeat(10_000_000) }),
  );
  expect(answer).toMatchObject({ status: 413, body: { code: "body-too-large" } });
});

test("a body that is not JSON is refused as such", async () => {
  expect(await fleet.current.operate("POST", "/v1/projects", "{")).toMatchObject({
    status: 400,
    body: { code: "malformed-body" },
  });
});

test("what does not exist is not found, whatever its id looks like", async () => {
  for (const path of [
    "/v1/nothing",
    "/v1/runs/1",
    "/v1/tasks/'",
    "/v1/projects/none",
    "/v1/tasks/x/log",
  ]) {
    expect((await fleet.current.operate("GET", path)).status).toBe(404);
  }
  expect((await fleet.current.operate("POST", "/v1/projects/none/sync")).status).toBe(404);
});

test("a second project of the same name is a conflict", async () => {
  expect((await createProject(fleet.current)).status).toBe(201);
  expect(await createProject(fleet.current)).toMatchObject({
    status: 409,
    body: { code: "conflict" },
  });
});
