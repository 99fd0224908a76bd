import { createHash } from "node:crypto";
import { mkdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { createApp } from "../../../control-plane/http/app.ts";
import { joinLine } from "../../../protocol/join-line.ts";
import { browse } from "../../helpers/browse.ts";
import { temporaryDirectory } from "../../helpers/directory.ts";
import { useFleet } from "../../helpers/fleet.ts";
import { appWithPackages } from "../../helpers/right-inputs.ts";

const fleet = useFleet();
const sha256 = (text: string) => createHash("sha256").update(text).digest("hex");

const files = {
  "mirrorfleet-agent_0.1.0-1_amd64.deb": "the agent's package",
  "mirrorfleet-agent-linux-x64": "the agent",
  "mirrorfleet-control-plane_0.1.0-1_amd64.deb": "the control plane's",
  "mirrorfleet.cdx.json": "{}",
};

/** A control plane with a build's output. */
async function withPackages(sums?: string) {
  const outside = await temporaryDirectory();
  const directory = join(outside, "dist");
  await mkdir(directory);
  for (const [name, text] of Object.entries(files)) await writeFile(join(directory, name), text);
  await writeFile(join(directory, "notes"), "not for everybody");
  await writeFile(join(outside, "secret"), "secret");
  await symlink(join(outside, "secret"), join(directory, "link"));
  const lines = Object.entries(files).map(([name, text]) => `${sha256(text)}  ${name}\n`);
  await writeFile(join(directory, "SHA256SUMS"), sums ?? lines.join(""));
  const app = createApp({ ...fleet.current.ctx, packagesDirectory: directory });
  const get = (path: string, headers: Record<string, string> = {}, method = "GET") =>
    Promise.resolve(app.request(path, { headers, method }));
  const invite = async () => {
    const response = await app.request("/v1/hosts/ftp1/enrolment-tokens", {
      method: "POST",
      headers: { authorization: `Bearer ${fleet.current.admin}` },
    });
    return (await response.json()) as any;
  };
  return { get, invite, directory };
}

const name = "mirrorfleet-agent_0.1.0-1_amd64.deb";
const path = `/v1/public/packages/${name}`;

test("the script's checksum is in the invitation, the packages' are in the script", async () => {
  const { get, invite } = await withPackages();
  const response = await get("/v1/public/join.sh");
  expect(response.headers.get("content-type")).toMatch(/^text\/x-shellscript/);
  const script = await response.text();
  const { joining } = await invite();
  expect(joining).toMatchObject({ scriptSha256: sha256(script), why: null });
  expect(script).toContain(`${sha256(files[name])}  ${name}`);
  expect(script).not.toContain("mirrorfleet-control-plane_");
  expect(script).toContain("ExecStart=/usr/bin/mirrorfleet-agent run");
  expect(script).not.toMatch(/@(PACKAGES|UNIT)@/);
});

test("an FTP host's invitation names the masters to pull from, a master's names nothing", async () => {
  const { operate } = fleet.current;
  const address = async (addresses: string[]) =>
    operate("PATCH", "/v1/hosts/master", { addresses });
  await address(["2001:db8::1", "192.0.2.1"]);
  const { invite } = await withPackages();
  expect((await invite()).joining.sources).toEqual(["rsync://[2001:db8::1]:8873/"]);
  const own = await operate("POST", "/v1/hosts/master/enrolment-tokens");
  expect(own.body.joining.sources).toEqual([]);
});

test("a master that speaks TLS is named as rsyncs, one that went back to plain rsync no longer", async () => {
  const { operate, master } = fleet.current;
  await operate("PATCH", "/v1/hosts/master", { addresses: ["2001:db8::1"] });
  const { invite } = await withPackages();
  const sourcesWith = async (daemonKeySha256: string | null) => {
    await master.poll({ facts: { rsyncVersion: "3.4.1", roots: [], tls: { daemonKeySha256 } } });
    return (await invite()).joining.sources;
  };
  expect(await sourcesWith("a".repeat(64))).toEqual(["rsyncs://[2001:db8::1]:8873/"]);
  expect(await sourcesWith(null)).toEqual(["rsync://[2001:db8::1]:8873/"]);
});

test("a package is served as it is, with its type, whole, in part, and as headers alone", async () => {
  const { get } = await withPackages();
  const whole = await get(path);
  expect(whole.status).toBe(200);
  expect(whole.headers.get("content-type")).toBe("application/vnd.debian.binary-package");
  expect(whole.headers.get("content-length")).toBe(String(files[name].length));
  expect(await whole.text()).toBe(files[name]);
  const part = await get(path, { range: "bytes=4-8" });
  expect([part.status, await part.text()]).toEqual([206, "agent"]);
  expect(part.headers.get("content-range")).toBe(`bytes 4-8/${files[name].length}`);
  expect((await get(path, { range: "bytes=900-" })).status).toBe(416);
  const head = await get(path, {}, "HEAD");
  expect([head.status, await head.text()]).toEqual([200, ""]);
  expect(head.headers.get("content-length")).toBe(String(files[name].length));
});

test("nothing is served that the checksums do not name: no listing, no other file, no way out", async () => {
  const { get } = await withPackages();
  for (const wrong of [
    "",
    "notes",
    "link",
    "SHA256SUMS",
    "..",
    "../secret",
    "..%2fsecret",
    "%2e%2e/secret",
    "%2fetc%2fpasswd",
    `.%2f${name}`,
    `${name}%00`,
    "missing",
  ])
    expect([wrong, (await get(`/v1/public/packages/${wrong}`)).status]).toEqual([wrong, 404]);
});

test("checksums that name what is elsewhere lead to nothing", async () => {
  const sums = ["../secret", "/etc/passwd", "a/b", ".."].map((each) => `${sha256("x")}  ${each}\n`);
  const { get, invite } = await withPackages(sums.join(""));
  for (const wrong of ["..%2fsecret", "%2fetc%2fpasswd", "a%2fb", "a/b"])
    expect((await get(`/v1/public/packages/${wrong}`)).status).toBe(404);
  expect((await invite()).joining).toMatchObject({
    scriptSha256: null,
    why: expect.stringContaining("no package of the agent"),
  });
});

test("without packages, or without their checksums, an invitation says why there is no line", async () => {
  const { operate, app } = fleet.current;
  const { body } = await operate("POST", "/v1/hosts/ftp1/enrolment-tokens");
  expect(body.joining).toMatchObject({
    scriptSha256: null,
    why: expect.stringContaining("MIRRORFLEET_PACKAGES is not set"),
  });
  const script = await app.request("/v1/public/join.sh");
  expect([script.status, (await script.json()) as any]).toMatchObject([
    404,
    { detail: expect.stringContaining("MIRRORFLEET_PACKAGES") },
  ]);
  const empty = await temporaryDirectory();
  const other = createApp({ ...fleet.current.ctx, packagesDirectory: empty });
  const answer = (await (await other.request("/v1/public/join.sh")).json()) as any;
  expect(answer.detail).toMatch(/no output of "npm run build".*SHA256SUMS/);
});

const unescaped = (text: string) =>
  text
    .replaceAll("&#39;", "'")
    .replaceAll("&quot;", '"')
    .replaceAll("&gt;", ">")
    .replaceAll("&lt;", "<")
    .replaceAll("&amp;", "&");

test("the dashboard shows the same line as the command line", async () => {
  const app = await appWithPackages(fleet.current);
  const { post } = browse(app);
  await post("/sign-in", { token: fleet.current.admin });
  const page = await (await post("/admin/hosts/ftp1/invite", {})).text();
  const shown = unescaped(/<pre id="once"[^>]*>([^]*?)<\/pre>/.exec(page)![1]!).trim();
  const token = /mfe_[A-Za-z0-9_-]{43}\.[A-Za-z0-9_-]{43}/.exec(shown)![0];
  const script = await (await app.request("/v1/public/join.sh")).text();
  expect(shown).toBe(
    joinLine({
      controlPlane: "http://localhost",
      token,
      scriptSha256: sha256(script),
      roots: ["/srv/mirror"],
      sources: ["rsync://127.0.0.1:8873/"],
      replace: false,
    }),
  );
});
