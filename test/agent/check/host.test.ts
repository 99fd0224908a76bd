import { chmod, mkdir, writeFile } from "node:fs/promises";
import { createServer as createHttpServer } from "node:http";
import { createServer, type Server } from "node:net";
import { once } from "node:events";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { checkHost } from "../../../agent/check/host.ts";
import { readConfig, type SettingName } from "../../../agent/config.ts";
import { writeIdentity } from "../../../agent/identity.ts";
import type { Role } from "../../../protocol/host.ts";
import { makeIdentity } from "../../helpers/agent.ts";
import { temporaryDirectory } from "../../helpers/directory.ts";

async function listen(server: Server): Promise<number> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  return (server.address() as { port: number }).port;
}

/** A control plane that is there, with its clock so many seconds ahead. */
const startControlPlane = ({ ahead = 0, status = 200 } = {}) =>
  listen(
    createHttpServer((_, response) => {
      response.sendDate = false;
      const date = new Date(Date.now() + ahead * 1000).toUTCString();
      response.writeHead(status, { date, connection: "close" }).end("ok");
    }),
  );

/** What greets each connection as an rsync daemon does, or otherwise. */
const startDaemon = (greeting = "@RSYNCD: 31.0 sha512\n") =>
  listen(createServer((socket) => void socket.on("error", () => {}).end(greeting)));

/** A host on which all is well but what `settings` change. */
async function makeHost({
  roles = ["ftp"],
  controlPlane,
  source,
  ...settings
}: { roles?: Role[]; controlPlane?: number; source?: number } & Partial<
  Record<SettingName, string>
> = {}) {
  const directory = await temporaryDirectory();
  const [stateDir, root] = [join(directory, "state"), join(directory, "mirror")];
  for (const path of [stateDir, root]) await mkdir(path, { mode: 0o700 });
  const { identity } = await makeIdentity();
  await writeIdentity({ stateDir, identity: { ...identity, roles } });
  const config = readConfig({
    file: "/dev/null",
    environment: {},
    flags: {
      "control-plane": `http://127.0.0.1:${controlPlane ?? (await startControlPlane())}`,
      "state-dir": stateDir,
      "mirror-roots": root,
      sources: `rsync://127.0.0.1:${source ?? (await startDaemon())}/`,
      ...settings,
    },
  });
  const check = async () => {
    const lines: string[] = [];
    const print = (line: string) => lines.push(line);
    return { good: await checkHost({ config, beforeStart: true, print }), lines };
  };
  return { check, root, stateDir };
}

const freePort = async () => {
  const server = createServer();
  const port = await listen(server);
  server.close();
  return port;
};

test("a host that is set up right has a line for each thing that it needs", async () => {
  const { check } = await makeHost();
  const { good, lines } = await check();
  expect(lines.map((line) => line.replace(/:.*/s, ""))).toEqual(
    [
      "rsync",
      "mirror roots",
      "quarantine",
      "state directory",
      "identity",
      "control plane",
      "clock",
      "sources",
      "rsync daemon",
      "masters",
    ].map((name) => `ok    ${name}`),
  );
  expect(lines[0]).toMatch(/version \d+\.\d+/);
  expect(lines[1]).toMatch(/\d+ GB \(\d+ %\).* free/);
  expect(lines[4]).toContain("host ftp1 (ftp)");
  expect(lines[6]).toContain("within a second");
  expect(lines[7]).toMatch(/rsync:\/\/127\.0\.0\.1:\d+ reached/);
  expect(good).toBe(true);
});

const line = (lines: string[], name: string) =>
  lines.find((each) => each.slice(6).startsWith(`${name}:`));

test("each thing that is wrong FAILs alone, with its cure", async () => {
  const wrong: [string, Parameters<typeof makeHost>[0], RegExp][] = [
    ["rsync", { rsync: "/nonexistent/rsync" }, /does not run: install rsync/],
    ["mirror roots", { "mirror-roots": "/nonexistent/mirror" }, /nonexistent/],
    ["control plane", { controlPlane: await startControlPlane({ status: 404 }) }, /answered 404/],
    [
      "clock",
      { controlPlane: await startControlPlane({ ahead: -300 }) },
      /by (29|30)\d seconds.*NTP/,
    ],
    ["sources", { source: await freePort() }, /not reached: .*ECONNREFUSED.*has the master joined/],
    ["sources", { source: await startDaemon("SSH-2.0\n") }, /no rsync daemon answers/],
    ["sources", { sources: "" }, /MIRRORFLEET_SOURCES is empty/],
  ];
  for (const [name, settings, what] of wrong) {
    const { good, lines } = await (await makeHost(settings)).check();
    expect([name, good]).toEqual([name, false]);
    expect(lines.filter((each) => each.startsWith("FAIL"))).toEqual([
      expect.stringMatching(new RegExp(`^FAIL {2}${name}: `)),
    ]);
    expect(line(lines, name)).toMatch(what);
  }
});

test("a control plane that is not reached FAILs, and the clock that cannot be compared", async () => {
  const { good, lines } = await (await makeHost({ controlPlane: await freePort() })).check();
  expect(good).toBe(false);
  expect(line(lines, "control plane")).toMatch(/cannot reach .*firewall/);
  expect(line(lines, "clock")).toMatch(/^FAIL/);
});

test("an upstream that a master does not reach is a warning: it may come back", async () => {
  const host = await makeHost({ roles: ["master"], source: await freePort() });
  const { good, lines } = await host.check();
  expect(line(lines, "sources")).toMatch(/^warn {2}sources: .*not reached/);
  expect(good).toBe(true);
});

test("a root that the user may not write to, and a state directory that others may enter, FAIL", async () => {
  const { check, root, stateDir } = await makeHost();
  await chmod(stateDir, 0o755);
  expect(line((await check()).lines, "state directory")).toMatch(/^FAIL.*chmod 700/);
  if (process.getuid?.() === 0) return;
  await chmod(root, 0o500);
  expect(line((await check()).lines, "mirror roots")).toMatch(/^FAIL.*not writable.*chown/);
});

test("before it has joined, a host is told to", async () => {
  const { check, stateDir } = await makeHost();
  await writeFile(join(stateDir, "identity.json"), "{}");
  await chmod(join(stateDir, "identity.json"), 0o644);
  expect(line((await check()).lines, "identity")).toMatch(/^FAIL.*others may read it/);
});
