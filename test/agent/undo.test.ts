import { execFileSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import { mkdir, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { removeExpired } from "../../agent/quarantine.ts";
import { workOn } from "../../agent/work.ts";
import { compareTrees } from "../../demo/compare.ts";
import type { SyncSpec } from "../../protocol/order.ts";
import { makeAgentCtx } from "../helpers/agent.ts";
import { temporaryDirectory } from "../helpers/directory.ts";
import { startSource, syncSpec } from "../helpers/rsync.ts";

/** A master that pulls a tree of twenty files, with or without a quarantine. */
async function makeMaster({ kept = true } = {}) {
  const { ctx, mirrorRoot, sealedPassword } = await makeAgentCtx();
  const quarantine = await temporaryDirectory();
  const { tree, port } = await startSource();
  await mkdir(join(tree, "pool/b"), { recursive: true });
  for (let index = 0; index < 10; index++) {
    await writeFile(join(tree, `pool/file-${index}`), String(index));
    await writeFile(join(tree, `pool/b/file-${index}`), String(index));
  }
  const source = { host: "127.0.0.1", port, module: "mirror", path: null, user: "ftp1" };
  let generation = 0;
  const run = (order: Partial<SyncSpec> = {}) => {
    generation += 1;
    return workOn(
      { ...ctx, config: { ...ctx.config, quarantines: kept ? [quarantine] : null } },
      {
        sync: syncSpec({
          port,
          steps: [{ sources: [{ source, sealedPassword }], destination: "debian", sentinel: null }],
          publish: generation,
          limits: { ...syncSpec({ port }).limits, maxDeletePercent: 100 },
          ...order,
        }),
        signal: new AbortController().signal,
        onLine: () => {},
        onProgress: () => {},
      },
    );
  };
  expect(await run()).toMatchObject({ outcome: "ok" });
  return { tree, destination: join(mirrorRoot, "debian"), quarantine, run };
}

test("what a pull deleted comes back from the quarantine, links and all, and is published without a list", async () => {
  const { tree, destination, quarantine, run } = await makeMaster();
  await symlink("file-1", join(tree, "pool/b/link"));
  await run();
  const before = await temporaryDirectory();
  execFileSync("cp", ["-a", `${destination}/.`, before]);
  await rm(join(tree, "pool/b"), { recursive: true });
  await rm(join(tree, "pool/file-3"));
  expect(await run()).toMatchObject({ outcome: "ok" });
  expect(await readdir(join(destination, "pool"))).not.toContain("b");
  const undone = await run({ undo: randomUUID() });
  expect(undone).toMatchObject({ outcome: "ok", changeList: null });
  expect(undone.changes).toBeGreaterThan(0);
  const { differences } = await compareTrees({ expected: before, actual: destination });
  // Times of directories are not kept; the next pull brings those.
  expect(differences.filter((line) => !line.includes("directory"))).toEqual([]);
  expect(await readFile(join(destination, "pool/b/link"), "utf8")).toBe("1");
  // Nothing is left there: what comes next is the deletion before.
  expect(await run({ undo: randomUUID() })).toMatchObject({ outcome: "fatal" });
  expect(await readdir(join(quarantine, "debian"))).toEqual([]);
});

test("what has its name again is not touched, and what had to stay waits on in the quarantine", async () => {
  const { tree, destination, quarantine, run } = await makeMaster();
  await rm(join(tree, "pool/file-3"));
  await rm(join(tree, "pool/file-4"));
  await run();
  await writeFile(join(destination, "pool/file-3"), "new");
  const undone = await run({ undo: randomUUID() });
  expect(undone).toMatchObject({ outcome: "ok", changes: 1 });
  expect(undone.message).toContain("1 stay in quarantine");
  expect(await readFile(join(destination, "pool/file-3"), "utf8")).toBe("new");
  expect(await readFile(join(destination, "pool/file-4"), "utf8")).toBe("4");
  const [entry] = await readdir(join(quarantine, "debian"));
  expect(entry).toMatch(/-undone$/);
});

test("an undo that is tried again brings back no older deletions", async () => {
  const { tree, destination, run } = await makeMaster();
  for (const name of ["file-3", "file-4"]) {
    await rm(join(tree, "pool", name));
    await run();
  }
  const undo = randomUUID();
  expect(await run({ undo })).toMatchObject({ outcome: "ok", changes: 1 });
  // Its result was lost with the agent.
  expect(await run({ undo })).toMatchObject({ outcome: "ok", changes: 0 });
  const names = await readdir(join(destination, "pool"));
  expect(names).toContain("file-4");
  expect(names).not.toContain("file-3");
  expect(await run({ undo: randomUUID() })).toMatchObject({ outcome: "ok", changes: 1 });
  expect(await readdir(join(destination, "pool"))).toContain("file-3");
});

test("without a quarantine an undo says what to set, and changes nothing", async () => {
  const { tree, run } = await makeMaster({ kept: false });
  await rm(join(tree, "pool/file-3"));
  await run();
  const undone = await run({ undo: randomUUID() });
  expect(undone).toMatchObject({ outcome: "fatal", changes: 0 });
  expect(undone.message).toContain("MIRRORFLEET_QUARANTINES");
});

test("what has waited its days is removed from the quarantine, what has not stays, and nothing else is touched", async () => {
  const quarantine = await temporaryDirectory();
  const names = ["2026-11-01T00.00.00.000Z", "2026-11-24T00.00.00.000Z", "not-ours"];
  for (const name of names) await mkdir(join(quarantine, "debian", name, "a"), { recursive: true });
  await mkdir(join(quarantine, "arch/2026-11-01T00.00.00.000Z-undone"), { recursive: true });
  const now = new Date("2026-11-25T00:00:00Z");
  expect(await removeExpired({ quarantine, days: 7, now })).toBe(2);
  expect((await readdir(join(quarantine, "debian"))).toSorted()).toEqual(names.slice(1));
  expect(await readdir(quarantine)).toEqual(["debian"]);
});
