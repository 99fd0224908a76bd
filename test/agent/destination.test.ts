import { execFileSync } from "node:child_process";
import { mkdir, readdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import fc from "fast-check";
import { expect, test } from "vitest";
import {
  checkStateApart,
  chooseRoot,
  resolveDestination,
  resolveQuarantines,
  resolveMirrorRoots,
} from "../../agent/destination.ts";
import { isRelativePath } from "../../protocol/names.ts";
import { temporaryDirectory } from "../helpers/directory.ts";

async function makeRoot() {
  const outside = await temporaryDirectory();
  const mirrorRoot = join(outside, "mirror");
  await mkdir(mirrorRoot);
  const resolve = (destination: string) => resolveDestination({ mirrorRoot, destination });
  const everything = () => execFileSync("find", [outside], { encoding: "utf8" });
  return { outside, mirrorRoot, resolve, everything };
}

test("a destination below the root is made, and answered with its absolute path", async () => {
  const { mirrorRoot, resolve } = await makeRoot();
  expect(await resolve("pub/debian")).toBe(join(mirrorRoot, "pub/debian"));
  expect(await readdir(join(mirrorRoot, "pub"))).toEqual(["debian"]);
});

test.each([
  "/",
  "",
  ".",
  "..",
  "../mirror",
  "a/..",
  "a/../../b",
  "/etc",
  "a//b",
  "-rf",
  "a\0b",
  "a\nb",
  "a b",
  "*",
])("the destination %j is refused, and the disk is as it was", async (destination) => {
  const { resolve, everything } = await makeRoot();
  const before = everything();
  await expect(resolve(destination)).rejects.toMatchObject({
    code: "order-refused",
    message: expect.stringContaining("plain segments below the mirror root"),
  });
  expect(everything()).toEqual(before);
});

test("a symlink that leads out of the root is refused, and nothing is made behind it", async () => {
  const { outside, mirrorRoot, resolve, everything } = await makeRoot();
  await mkdir(join(outside, "elsewhere"));
  await symlink("../elsewhere", join(mirrorRoot, "out"));
  await symlink(outside, join(mirrorRoot, "up"));
  await symlink(".", join(mirrorRoot, "self"));
  await symlink("nowhere", join(mirrorRoot, "dangling"));
  const before = everything();
  for (const destination of ["out", "out/debian", "up/elsewhere", "up/mirror", "self"]) {
    await expect(resolve(destination)).rejects.toMatchObject({
      code: "order-refused",
      message: expect.stringContaining("outside the mirror root"),
    });
  }
  await expect(resolve("dangling/x")).rejects.toThrow("symlink to nothing");
  expect(everything()).toEqual(before);
});

test("a symlink inside the root is followed, and the place it leads to is the destination", async () => {
  const { mirrorRoot, resolve } = await makeRoot();
  await mkdir(join(mirrorRoot, "disk2/debian"), { recursive: true });
  await symlink("disk2/debian", join(mirrorRoot, "debian"));
  expect(await resolve("debian")).toBe(join(mirrorRoot, "disk2/debian"));
});

test("a file in the way is refused", async () => {
  const { mirrorRoot, resolve } = await makeRoot();
  await writeFile(join(mirrorRoot, "debian"), "");
  await expect(resolve("debian")).rejects.toThrow("is not a directory");
});

test("a mirror root that is missing is refused, not made: its disk may not be mounted", async () => {
  const { outside, everything } = await makeRoot();
  const before = everything();
  await expect(
    resolveDestination({ mirrorRoot: join(outside, "unmounted"), destination: "debian" }),
  ).rejects.toThrow("is its disk mounted?");
  expect(everything()).toEqual(before);
});

test("the file system's root is no mirror root, also behind a symlink", async () => {
  const { outside } = await makeRoot();
  await symlink("/", join(outside, "root"));
  for (const mirrorRoot of ["/", join(outside, "root")])
    await expect(resolveDestination({ mirrorRoot, destination: "debian" })).rejects.toThrow(
      'must not be "/"',
    );
});

test("whatever a destination is, it ends below the root or is refused", async () => {
  const { mirrorRoot, resolve } = await makeRoot();
  await fc.assert(
    fc.asyncProperty(
      fc
        .array(fc.oneof(fc.constantFrom("a", ".", "..", "", "-", "/", "~", "b.c"), fc.string()), {
          maxLength: 5,
        })
        .map((parts) => parts.join("/")),
      async (destination) => {
        const path = await resolve(destination).catch(() => null);
        if (path === null) expect(isRelativePath(destination)).toBe(false);
        else expect(path.startsWith(`${mirrorRoot}/`)).toBe(true);
      },
    ),
    { numRuns: 300 },
  );
});

test("an order's root must be one of this host's; none may lie in another", async () => {
  const { outside, mirrorRoot } = await makeRoot();
  const second = join(outside, "second");
  await mkdir(second);
  await symlink(mirrorRoot, join(outside, "link"));
  const mirrorRoots = await resolveMirrorRoots({ mirrorRoots: [mirrorRoot, second] });
  expect(chooseRoot({ mirrorRoots, root: null })).toBe(mirrorRoot);
  expect(chooseRoot({ mirrorRoots, root: second })).toBe(second);
  for (const root of ["/", "/etc", `${second}/`, `${second}/x`, join(outside, "link")])
    expect(() => chooseRoot({ mirrorRoots, root })).toThrow("MIRRORFLEET_MIRROR_ROOTS");
  for (const other of [outside, join(outside, "link"), mirrorRoot])
    await expect(resolveMirrorRoots({ mirrorRoots: [mirrorRoot, other] })).rejects.toThrow(
      "lies within",
    );
});

test("keys and mirrors are apart: no state directory in a mirror root, and no root in it", async () => {
  const { outside, mirrorRoot } = await makeRoot();
  const apart = join(outside, "state");
  const below = join(mirrorRoot, "state");
  for (const directory of [apart, below]) await mkdir(directory);
  await symlink(below, join(outside, "link"));
  await checkStateApart({ stateDir: apart, mirrorRoots: [mirrorRoot] });
  for (const stateDir of [below, join(outside, "link"), mirrorRoot, join(mirrorRoot, "..")])
    await expect(checkStateApart({ stateDir, mirrorRoots: [mirrorRoot] })).rejects.toThrow(
      "are not apart",
    );
});

test("a quarantine is beside the mirror root, one for each, or it is refused", async () => {
  const { outside, mirrorRoot } = await makeRoot();
  const refused: [string[], string][] = [
    [[join(mirrorRoot, "kept")], "outside of all mirror roots"],
    [[join(mirrorRoot, "..")], "outside of all mirror roots"],
    [[join(outside, "one"), join(outside, "two")], "for each of the 1 mirror roots"],
    [["/proc/quarantine"], "cannot be used"],
    [["/dev/shm"], "on the file system of the mirror root"],
  ];
  for (const [quarantines, message] of refused)
    await expect(resolveQuarantines({ quarantines, mirrorRoots: [mirrorRoot] })).rejects.toThrow(
      message,
    );
  expect(
    await resolveQuarantines({
      quarantines: [join(outside, "kept")],
      mirrorRoots: [mirrorRoot],
    }),
  ).toEqual([join(outside, "kept")]);
});
