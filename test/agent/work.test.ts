import { mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { readConfig } from "../../agent/config.ts";
import type { AgentCtx } from "../../agent/context.ts";
import { openSeenOrders } from "../../agent/verify-order.ts";
import { workOn } from "../../agent/work.ts";
import type { SyncSpec } from "../../protocol/order.ts";
import { makeIdentity } from "../helpers/agent.ts";
import { temporaryDirectory } from "../helpers/directory.ts";
import { freePort, startSource, syncSpec } from "../helpers/rsync.ts";
import { seal } from "../../control-plane/auth/task-tokens.ts";

async function makeAgent() {
  const directory = await temporaryDirectory();
  const mirrorRoot = join(directory, "mirror");
  const stateDir = join(directory, "state");
  for (const path of [mirrorRoot, stateDir]) await mkdir(path);
  const { identity } = await makeIdentity();
  const config = readConfig({
    file: "/dev/null",
    environment: {},
    flags: { "state-dir": stateDir, "mirror-roots": mirrorRoot, sources: "rsync://*" },
  });
  const ctx: AgentCtx = {
    config: { ...config, mirrorRoots: [mirrorRoot] },
    identity,
    controlPlane: "http://127.0.0.1:1",
    clock: { skewSeconds: 0 },
    seen: await openSeenOrders({ stateDir }),
    log: () => {},
  };
  const { d: _, ...key } = identity.sealingKey;
  const sealedPassword = await seal({ secret: "right-password", key });
  const lines: string[] = [];
  const run = (steps: SyncSpec["steps"]) =>
    workOn(ctx, {
      sync: { ...syncSpec({ port: 1 }), steps },
      signal: new AbortController().signal,
      onLine: (line) => void lines.push(line),
      onProgress: () => {},
    });
  const source = (port: number) => ({
    source: { host: "127.0.0.1", port, module: "mirror", path: null, user: "ftp1" },
    sealedPassword,
  });
  return { mirrorRoot, run, source, lines };
}

test("where the first source cannot be reached, the next one is taken, and the log says so", async () => {
  const { mirrorRoot, run, source, lines } = await makeAgent();
  const { tree, port } = await startSource();
  await writeFile(join(tree, "file"), "content");
  const dead = await freePort();
  expect(
    await run([{ sources: [source(dead), source(port)], destination: "debian" }]),
  ).toMatchObject({ outcome: "ok" });
  expect(await readdir(join(mirrorRoot, "debian"))).toEqual(["file"]);
  expect(lines.join("\n")).toContain("trying the next source");
});

test("a source that can be reached and fails is not passed over", async () => {
  const { mirrorRoot, run, source } = await makeAgent();
  const [first, second] = [await startSource(), await startSource()];
  await writeFile(join(second.tree, "file"), "content");
  const wrong = source(first.port);
  const result = await run([
    {
      sources: [{ ...wrong, source: { ...wrong.source, path: "not-there" } }, source(second.port)],
      destination: "debian",
    },
  ]);
  expect(result.outcome).not.toBe("ok");
  expect(await readdir(join(mirrorRoot, "debian"))).toEqual([]);
});

test("parts are pulled in order, each into its own place, and counted together", async () => {
  const { mirrorRoot, run, source } = await makeAgent();
  const [one, two] = [await startSource(), await startSource()];
  await writeFile(join(one.tree, "one"), "1");
  await writeFile(join(two.tree, "two"), "22");
  const result = await run([
    { sources: [source(one.port)], destination: "fedora/epel" },
    { sources: [source(two.port)], destination: "fedora/linux" },
  ]);
  expect(result).toMatchObject({ outcome: "ok", stats: { transferred: 2, transferredBytes: 3 } });
  expect((await readdir(join(mirrorRoot, "fedora"), { recursive: true })).toSorted()).toEqual([
    "epel",
    "epel/one",
    "linux",
    "linux/two",
  ]);
});

test("a part that fails ends the order: what comes after it is not begun", async () => {
  const { mirrorRoot, run, source } = await makeAgent();
  const two = await startSource();
  await writeFile(join(two.tree, "two"), "22");
  const result = await run([
    { sources: [source(await freePort())], destination: "fedora/epel" },
    { sources: [source(two.port)], destination: "fedora/linux" },
  ]);
  expect(result.outcome).toBe("retryable");
  expect(await readdir(join(mirrorRoot, "fedora/linux"))).toEqual([]);
});
