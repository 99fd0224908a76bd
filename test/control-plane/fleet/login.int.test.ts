import { sql } from "drizzle-orm";
import { expect, test } from "vitest";
import { createProject, openLease, trigger, useFleet } from "../../helpers/fleet.ts";

const fleet = useFleet();
const password = "a-password-that-nobody-may-see";

async function wholeDatabase(): Promise<string> {
  const { db } = fleet.current.ctx;
  const { rows: tables } = await db.execute<{ name: string }>(
    sql`select tablename as name from pg_tables where schemaname = 'public'`,
  );
  const rows: string[] = [];
  for (const { name } of tables)
    for (const row of (await db.execute(sql`select t::text as row from ${sql.identifier(name)} t`))
      .rows)
      rows.push(String(row["row"]));
  return rows.join("\n");
}

test("an upstream's password is in no answer, no order and no row, and its agent alone can open it", async () => {
  const { operate, master } = fleet.current;
  const answers = [
    await createProject(fleet.current, { login: { user: "mirror", password } }),
    await operate("GET", "/v1/projects/debian"),
    await operate("GET", "/v1/projects"),
    await operate("PATCH", "/v1/projects/debian", { description: "changed" }),
    await operate("PUT", "/v1/fleet", {
      projects: [
        {
          name: "debian",
          upstream: "rsync://upstream.example.org/debian",
          login: { user: "mirror", password: `${password}2` },
        },
      ],
    }),
    await operate("GET", "/v1/audit-events"),
    await trigger(fleet.current),
  ];
  const lease = openLease(await master.poll());
  answers.push(await operate("GET", "/v1/tasks"), await operate("GET", "/v1/runs"), lease.sync);
  expect(JSON.stringify(answers)).not.toContain(password);
  expect(await wholeDatabase()).not.toContain(password);
  const [{ source, sealedPassword }] = lease.sync.steps[0].sources;
  expect(source.user).toBe("mirror");
  expect(await master.open(sealedPassword)).toBe(`${password}2`);
  await expect(fleet.current.ftp1.open(sealedPassword)).rejects.toThrow();
});

test("a stored password is for its host: another host as upstream needs it to be given again", async () => {
  const { operate } = fleet.current;
  await createProject(fleet.current, { login: { user: "mirror", password } });
  const moved = await operate("PATCH", "/v1/projects/debian", {
    upstream: "rsync://thief.example/debian",
  });
  expect(moved).toMatchObject({ status: 422, body: { errors: [{ field: "login.host" }] } });
  const replaced = await operate("PUT", "/v1/projects/debian", {
    upstream: "rsync://thief.example/debian",
    login: { user: "mirror" },
  });
  expect(replaced).toMatchObject({ status: 422, body: { errors: [{ field: "login.password" }] } });
});

test("a login goes to its own host and to no fallback", async () => {
  await createProject(fleet.current, {
    fallbacks: ["rsync://fallback.example/debian"],
    login: { user: "mirror", password },
  });
  await trigger(fleet.current);
  const { sync } = openLease(await fleet.current.master.poll());
  expect(
    sync.steps[0].sources.map(({ source, sealedPassword }: any) => [
      source.host,
      source.user,
      sealedPassword !== null,
    ]),
  ).toEqual([
    ["upstream.example.org", "mirror", true],
    ["fallback.example", null, false],
  ]);
});

test("a password that was moved to another project's row opens for nobody, and holds up no other project", async () => {
  const { ctx, operate, master } = fleet.current;
  await createProject(fleet.current, { login: { user: "mirror", password } });
  await createProject(fleet.current, {
    name: "other",
    login: { user: "mirror", password: "other" },
  });
  await ctx.db.execute(
    sql`update projects set login_password = (select login_password from projects where name = 'debian') where name = 'other'`,
  );
  const moved = (await operate("POST", "/v1/projects/other/sync")).body;
  await trigger(fleet.current);
  expect((await master.poll()).lease).toBeNull();
  expect((await operate("GET", `/v1/runs/${moved.id}`)).body).toMatchObject({
    state: "failed",
    tasks: [{ result: { message: expect.stringContaining("could not make the order") } }],
  });
  expect(openLease(await master.poll()).sync.project).toBe("debian");
});
