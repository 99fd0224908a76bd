import { execFileSync } from "node:child_process";
import { mkdir, readdir, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { workOn } from "../../agent/work.ts";
import { type SyncSpec, syncSpecSchema } from "../../protocol/order.ts";
import { resultSchema } from "../../protocol/report.ts";
import { makeAgentCtx } from "../helpers/agent.ts";
import { temporaryDirectory } from "../helpers/directory.ts";
import { freePort, startSource, syncSpec } from "../helpers/rsync.ts";

async function makeMaster() {
  const { ctx, mirrorRoot, stateDir, sealedPassword } = await makeAgentCtx();
  const { tree, port } = await startSource();
  const lines: string[] = [];
  const source = (at: number) => ({
    source: { host: "127.0.0.1", port: at, module: "mirror", path: null, user: "ftp1" },
    sealedPassword,
  });
  const run = (order: Partial<SyncSpec> = {}, signal = new AbortController().signal) =>
    workOn(ctx, {
      sync: syncSpec({
        port,
        steps: [{ sources: [source(port)], destination: "debian", sentinel: null }],
        ...order,
      }),
      signal,
      onLine: (line) => void lines.push(line),
      onProgress: () => {},
    });
  const dryRun = (order: Partial<SyncSpec> = {}, signal?: AbortSignal) =>
    run({ ...order, dryRun: true }, signal);
  return { mirrorRoot, stateDir, tree, port, source, run, dryRun, lines };
}

/** Every name below a directory, with kind, size and times. */
const listing = (directory: string) =>
  execFileSync("find", [directory, "-printf", "%P %y %s %T@ %C@ %l\n"], { encoding: "utf8" });

test("before the first sync a dry run says what would come, and leaves nothing on the host", async () => {
  const { mirrorRoot, stateDir, tree, source, port, dryRun, lines } = await makeMaster();
  await mkdir(join(tree, "pool"));
  for (let index = 0; index < 30; index++)
    await writeFile(join(tree, `pool/file-${index}`), "12345");
  const before = [listing(mirrorRoot), listing(stateDir)];
  const dead = await freePort();
  const result = await dryRun({
    path: "site/debian",
    steps: [
      { sources: [source(dead), source(port)], destination: "site/debian", sentinel: "not-there" },
    ],
  });
  expect(result).toMatchObject({
    outcome: "ok",
    changes: 0,
    stats: null,
    scanned: false,
    dryRun: {
      created: { entries: 32 },
      changed: { entries: 0, examples: [] },
      deleted: { entries: 0, examples: [] },
      bytes: 150,
      files: 32,
      totalBytes: 150,
      held: null,
    },
  });
  expect(result.dryRun!.created.examples).toHaveLength(20);
  expect(result.dryRun!.created.examples).toContain("pool/file-1");
  expect(result.message).toMatch(/^dry run, nothing was changed: a sync would create 32/);
  expect(lines.join("\n")).toContain("trying the next source");
  expect(lines.filter((line) => line.includes("pool/file-"))).toHaveLength(30);
  expect([listing(mirrorRoot), listing(stateDir)]).toEqual(before);
  expect(resultSchema.safeParse({ ...result, logBytes: 0 }).success).toBe(true);
});

test("of a tree that is there it tells changes and deletions, whether they would be held, and touches neither tree nor memory", async () => {
  const { mirrorRoot, stateDir, tree, run, dryRun } = await makeMaster();
  for (let index = 0; index < 40; index++) await writeFile(join(tree, `file-${index}`), "1");
  await run({ publish: 1 });
  await writeFile(join(tree, "file-0"), "changed");
  await writeFile(join(tree, "new"), "new");
  for (let index = 10; index < 30; index++) await rm(join(tree, `file-${index}`));
  const before = [listing(mirrorRoot), listing(stateDir)];
  const { outcome, dryRun: would, ...rest } = await dryRun();
  expect(outcome).toBe("ok");
  expect(would).toMatchObject({
    created: { entries: 1, examples: ["new"] },
    deleted: { entries: 20 },
    bytes: 10,
    held: expect.stringContaining("20 of 42 files would be deleted; the limit is 10"),
  });
  expect(would!.changed.examples).toContain("file-0");
  expect(rest).toMatchObject({ changes: 0, held: null, message: expect.stringContaining("hold") });
  // A sync would be: what a dry run says is what it does.
  expect([listing(mirrorRoot), listing(stateDir)]).toEqual(before);
  expect(await run({ publish: 2 })).toMatchObject({ outcome: "held", held: { deletions: 20 } });
  expect((await dryRun()).dryRun).toMatchObject({
    created: { entries: 0 },
    changed: { entries: 0 },
  });
});

test("parts are told together, under their places", async () => {
  const { mirrorRoot, tree, source, port, dryRun } = await makeMaster();
  await writeFile(join(tree, "file"), "12");
  const step = (destination: string) => ({ sources: [source(port)], destination, sentinel: null });
  const { dryRun: would } = await dryRun({ steps: [step("debian/a"), step("debian/b")] });
  expect(would).toMatchObject({ bytes: 4, files: 4 });
  expect(would!.created.examples).toEqual(expect.arrayContaining(["a/file", "b/file"]));
  expect(await readdir(mirrorRoot)).toEqual([]);
});

test("a dry run ends as a sync does: unreachable, cancelled, or refused for a link that leads out of the root", async () => {
  const { mirrorRoot, source, dryRun } = await makeMaster();
  const unreachable = [
    { sources: [source(await freePort())], destination: "debian", sentinel: null },
  ];
  const failed = await dryRun({ steps: unreachable });
  expect(failed).toMatchObject({ outcome: "retryable", exitCode: 10 });
  expect(failed).not.toHaveProperty("dryRun");
  const cancelled = await dryRun({}, AbortSignal.abort());
  expect(cancelled).toMatchObject({ outcome: "interrupted" });
  await symlink(await temporaryDirectory(), join(mirrorRoot, "debian"));
  await expect(dryRun()).rejects.toMatchObject({ code: "order-refused" });
});

test("an agent from before dry runs refuses the order, and does not take it for a sync", () => {
  const before = syncSpecSchema.omit({ dryRun: true }).strict();
  const order = { ...syncSpec({ port: 1 }), dryRun: true };
  expect(syncSpecSchema.safeParse(order).success).toBe(true);
  expect(before.safeParse(order).error?.issues).toMatchObject([
    { code: "unrecognized_keys", keys: ["dryRun"] },
  ]);
});
