import { expect, test } from "vitest";
import { browse } from "../../helpers/browse.ts";
import { createProject, openLease, trigger, useFleet, work } from "../../helpers/fleet.ts";
import { report } from "../../helpers/control-plane.ts";

const fleet = useFleet();

const versionsOf = (page: string) =>
  [...page.matchAll(/data-v="([^"]+)"/g)].map(([, version]) => version).join("");

/** Reads a stream of events until `enough` says so. */
async function readUntil(response: Response, enough: (text: string) => boolean): Promise<string> {
  const reader = response.body!.getReader();
  const decoder = new TextDecoder();
  let text = "";
  while (!enough(text)) {
    const { value, done } = await reader.read();
    if (done) break;
    text += decoder.decode(value, { stream: true });
  }
  await reader.cancel();
  return text;
}

async function open(path: string) {
  const browser = browse(fleet.current.app);
  await browser.post("/sign-in", { token: fleet.current.admin });
  return { ...browser, page: await (await browser.get(path)).text() };
}

test("a fleet page is sent the rows that have changed, and no others", async () => {
  await createProject(fleet.current);
  await createProject(fleet.current, { name: "fedora", upstream: "rsync://a.example/fedora" });
  const { get, page } = await open("/");
  const stream = await get(`/live?v=${encodeURIComponent(versionsOf(page))}`);
  await trigger(fleet.current);
  const { taskId, token } = openLease(await fleet.current.master.poll());
  const progress = {
    bytes: 1,
    percent: 42,
    bytesPerSecond: 1,
    filesTransferred: 0,
    filesChecked: 0,
    filesTotal: 0,
  };
  await report(fleet.current, { taskId, token, kind: "heartbeat", body: { progress } });
  const text = await readUntil(stream, (read) => read.includes("42%"));
  expect(text).toContain('[\\"p-debian\\"'.replaceAll("\\", ""));
  expect(text).not.toContain("p-fedora");
});

test("a page that shows what is there already is sent nothing", async () => {
  await createProject(fleet.current);
  const { get, page } = await open("/");
  const stream = await get(`/live?v=${encodeURIComponent(versionsOf(page))}`);
  expect(await readUntil(stream, (text) => text !== "")).toBe(":\n\n");
});

test("what changed between a page and its stream is sent at once; a project more means another page", async () => {
  await createProject(fleet.current);
  const { get, page } = await open("/");
  const v = encodeURIComponent(versionsOf(page));
  await fleet.current.operate("POST", "/v1/projects/debian/pause");
  expect(await readUntil(await get(`/live?v=${v}`), (text) => text.includes("\n\n"))).toContain(
    "P paused",
  );
  await createProject(fleet.current, { name: "fedora", upstream: "rsync://a.example/fedora" });
  const other = await get(`/projects/debian/live?v=`);
  expect(await readUntil(other, (text) => text.includes("\n\n"))).toContain("event: reload");
});

test("a stream ends with the run, and when who signed in no longer may", async () => {
  const { operate, app, master } = fleet.current;
  await createProject(fleet.current, { hosts: [] });
  const { id } = await trigger(fleet.current);
  const { info, token } = (await operate("POST", "/v1/tokens", { name: "v", scope: "viewer" }))
    .body;
  const { get, post } = browse(app);
  await post("/sign-in", { token });
  const page = await (await get(`/runs/${id}`)).text();
  const url = `/runs/${id}/live?v=${encodeURIComponent(versionsOf(page))}`;
  const first = await get(url);
  await work(fleet.current, { agent: master });
  expect(await readUntil(first, () => false)).toMatch(/succeeded.*event: end/s);

  await createProject(fleet.current, { name: "fedora", upstream: "rsync://a.example/fedora" });
  const project = await (await get("/projects/fedora")).text();
  const second = await get(`/projects/fedora/live?v=${encodeURIComponent(versionsOf(project))}`);
  await operate("POST", `/v1/tokens/${info.id}/revoke`);
  expect(await readUntil(second, () => false)).toContain("event: reload");
});
