import { expect, test } from "vitest";
import { enrolAgent } from "../../helpers/control-plane.ts";
import { createProject, trigger, useFleet, work } from "../../helpers/fleet.ts";

const fleet = useFleet();

const carriers = async (project = "debian") =>
  (await fleet.current.operate("GET", `/v1/projects/${project}`)).body.replicas.map(
    ({ host }: any) => host,
  );

async function syncAll() {
  await trigger(fleet.current);
  for (const agent of [fleet.current.master, fleet.current.ftp1, fleet.current.ftp2])
    await work(fleet.current, { agent });
}

test("without hosts and labels all FTP hosts carry a project, also those that come later, which catch up", async () => {
  await createProject(fleet.current);
  await syncAll();
  const late = await enrolAgent(fleet.current, { name: "ftp3", role: "ftp" });
  expect(await carriers()).toEqual(["master", "ftp1", "ftp2", "ftp3"]);
  await work(fleet.current, { agent: late });
  const replica = await fleet.current.operate("GET", "/v1/projects/debian/replicas/ftp3");
  expect(replica.body).toMatchObject({ generation: 1, behind: 0 });
});

test("with labels the hosts that have them carry a project, as long as they have them", async () => {
  const { operate } = fleet.current;
  await createProject(fleet.current, { labels: { site: "nyc" } });
  expect(await carriers()).toEqual(["master"]);
  await operate("PATCH", "/v1/hosts/ftp1", { labels: { site: "nyc" } });
  expect(await carriers()).toEqual(["master", "ftp1"]);
  await operate("PATCH", "/v1/hosts/ftp1", { labels: { site: null } });
  expect(await carriers()).toEqual(["master"]);
});

test("with hosts only those carry it; one that is taken away waits for nothing any more", async () => {
  const { operate } = fleet.current;
  await createProject(fleet.current);
  await trigger(fleet.current);
  await work(fleet.current, { agent: fleet.current.master });
  await operate("PATCH", "/v1/projects/debian", { hosts: ["ftp1"] });
  expect(await carriers()).toEqual(["master", "ftp1"]);
  await work(fleet.current, { agent: fleet.current.ftp1 });
  const { body } = await operate("GET", "/v1/runs");
  expect(body.items[0].state).toBe("cancelled");
  expect((await fleet.current.ftp2.poll()).lease).toBeNull();
});

test("a revoked host gets no tasks and holds up no run; invited again it catches up", async () => {
  const { operate } = fleet.current;
  await createProject(fleet.current);
  await operate("POST", "/v1/hosts/ftp2/revoke");
  await trigger(fleet.current);
  await work(fleet.current, { agent: fleet.current.master });
  await work(fleet.current, { agent: fleet.current.ftp1 });
  expect((await operate("GET", "/v1/runs")).body.items[0].state).toBe("succeeded");
});

test("a master's replica moves to another root: FTP hosts pull from the old one until it is filled", async () => {
  const { operate, master, ftp1, ftp2 } = fleet.current;
  await createProject(fleet.current);
  await syncAll();
  await trigger(fleet.current);
  await work(fleet.current, { agent: master });
  const replica = "/v1/projects/debian/replicas/master";
  expect(await operate("POST", `${replica}/move`, { root: "/srv/elsewhere" })).toMatchObject({
    status: 422,
    body: {
      errors: [{ field: "root", message: expect.stringContaining("/srv/mirror, /srv/disk2") }],
    },
  });
  const moved = await operate("POST", `${replica}/move`, { root: "/srv/disk2" });
  expect(moved).toMatchObject({ status: 200, body: { trigger: "resync" } });
  const before = await work(fleet.current, { agent: ftp1 });
  expect(before.sync.steps[0].sources[0].source.module).toBe("mirror");
  const pull = await work(fleet.current, { agent: master });
  expect(pull.sync.root).toBe("/srv/disk2");
  const after = await work(fleet.current, { agent: ftp2 });
  expect(after.sync.steps[0].sources[0].source.module).toBe("mirror1");
});

test("an FTP host's replica that moves is pulled anew there, and is not moved while it is worked on", async () => {
  const { operate, ftp1 } = fleet.current;
  await createProject(fleet.current);
  await syncAll();
  const replica = "/v1/projects/debian/replicas/ftp1";
  await operate("POST", `${replica}/move`, { root: "/srv/disk2" });
  expect((await operate("GET", replica)).body).toMatchObject({ root: "/srv/disk2", behind: 1 });
  const { lease } = await ftp1.poll();
  expect(lease).not.toBeNull();
  expect((await operate("POST", `${replica}/move`, { root: null })).status).toBe(409);
});
