import { sql } from "drizzle-orm";
import { expect, test } from "vitest";
import { removeOldAnswers } from "../../../control-plane/db/queries/idempotent-answers.ts";
import { createProject, trigger, useFleet } from "../../helpers/fleet.ts";

const fleet = useFleet();

async function create(name: string, key: string) {
  const response = await fleet.current.app.request("/v1/projects", {
    method: "POST",
    headers: { authorization: `Bearer ${fleet.current.admin}`, "idempotency-key": key },
    body: JSON.stringify({ name, upstream: "rsync://a.example/a" }),
  });
  return { status: response.status, body: (await response.json()) as any };
}

test("the same request with the same key is done once and answered alike, also when both come at once", async () => {
  const [first, second] = await Promise.all([create("a", "key-1"), create("a", "key-1")]);
  expect(first.status).toBe(201);
  expect(second).toEqual(first);
  expect(await create("a", "key-1")).toEqual(first);
  expect((await create("a", "key-2")).status).toBe(409);
});

test("a key that came with another request is refused", async () => {
  await create("a", "key-1");
  expect(await create("b", "key-1")).toMatchObject({ status: 409, body: { code: "conflict" } });
});

test("a request that failed may be sent again with its key", async () => {
  expect((await create("-bad", "key-1")).status).toBe(422);
  expect((await create("good", "key-1")).status).toBe(201);
});

test("after a day a key is forgotten", async () => {
  await create("a", "key-1");
  fleet.current.clock.offsetSeconds = 90_000;
  await removeOldAnswers(fleet.current.ctx);
  expect((await create("b", "key-1")).status).toBe(201);
});

test("each change leaves an audit event that tells who, what, before and after; a refused one leaves none", async () => {
  const { operate } = fleet.current;
  await createProject(fleet.current);
  await operate("PATCH", "/v1/projects/debian", { description: "new" });
  await operate("PATCH", "/v1/projects/debian", { description: 7 });
  await trigger(fleet.current);
  const { items } = (await operate("GET", "/v1/audit-events?target=/v1/projects")).body;
  expect(items.map(({ action, actor }: any) => [action, actor])).toEqual([
    ["syncProject", "test"],
    ["patchProject", "test"],
    ["createProject", "test"],
  ]);
  expect(items[1]).toMatchObject({ before: { description: "" }, after: { description: "new" } });
});

test("lists come in pages that together hold everything once", async () => {
  const { operate } = fleet.current;
  for (let index = 0; index < 7; index++)
    await createProject(fleet.current, { name: `p${index}`, path: `p${index}` });
  const seen: string[] = [];
  let cursor: string | null = null;
  do {
    const answer = await operate("GET", `/v1/projects?limit=3${cursor ? `&cursor=${cursor}` : ""}`);
    seen.push(...answer.body.items.map(({ name }: any) => name));
    cursor = answer.body.nextCursor;
  } while (cursor !== null);
  expect(seen).toEqual(["p0", "p1", "p2", "p3", "p4", "p5", "p6"]);
  for (const bad of ["x", "W10", Buffer.from('["a","b"]').toString("base64url")])
    expect((await operate("GET", `/v1/projects?cursor=${bad}`)).status).toBe(422);
  expect(
    (await operate("GET", `/v1/runs?cursor=${Buffer.from('["a","b"]').toString("base64url")}`))
      .status,
  ).toBe(422);
});

async function send(path: string, key: string, body: unknown) {
  const response = await fleet.current.app.request(path, {
    method: "POST",
    headers: { authorization: `Bearer ${fleet.current.admin}`, "idempotency-key": key },
    body: JSON.stringify(body),
  });
  const { status, headers } = response;
  return { status, headers: Object.fromEntries(headers), body: (await response.json()) as any };
}

test("an answer that is given again is the same to its headers, and a token in it lies nowhere in the clear", async () => {
  const project = { name: "a", upstream: "rsync://a.example/a" };
  const made = await send("/v1/projects", "key-1", project);
  expect(made.headers).toMatchObject({ location: "/v1/projects/a", etag: '"1"' });
  expect(await send("/v1/projects", "key-1", project)).toEqual(made);
  const { body } = await send("/v1/tokens", "key-2", { name: "x", scope: "viewer" });
  const again = await send("/v1/tokens", "key-2", { name: "x", scope: "viewer" });
  expect(again.body.token).toBe(body.token);
  const { rows } = await fleet.current.ctx.db.execute(sql`select body from idempotent_answers`);
  expect(rows).toHaveLength(2);
  expect(JSON.stringify(rows)).not.toContain(body.token);
});

test("who sends a push again waits for its run again", async () => {
  await createProject(fleet.current);
  const path = "/v1/projects/debian/sync";
  const [waited] = await Promise.all([
    send(`${path}?wait=1`, "key-3", {}),
    (async () => {
      for (;;) {
        const { items } = (await fleet.current.operate("GET", "/v1/runs?state=running")).body;
        if (items[0]) return fleet.current.operate("POST", `/v1/runs/${items[0].id}/cancel`);
      }
    })(),
  ]);
  expect(waited.body.state).toBe("cancelled");
  expect((await send(`${path}?wait=1`, "key-3", {})).body).toEqual(waited.body);
});
