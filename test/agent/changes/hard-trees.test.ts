import { execFileSync } from "node:child_process";
import {
  chmod,
  link,
  mkdir,
  readdir,
  rename,
  rm,
  symlink,
  truncate,
  utimes,
  writeFile,
} from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { makeAgentsFleet } from "../../helpers/agents-fleet.ts";

const whole = { kind: "whole" as const };

/** A tree that one host has by a scan; after `change` the other way to it is the change list. */
async function carry({
  before,
  after,
  chroot = true,
}: {
  before: (root: string) => Promise<void>;
  after: (root: string) => Promise<void>;
  chroot?: boolean;
}) {
  const project = await (await makeAgentsFleet({ chroot })).begin();
  await before(project.root);
  await project.pull(whole);
  expect(await project.follow(0, whole)).toBe("scan");
  expect(await project.differences(0)).toEqual([]);
  await after(project.root);
  await project.pull(whole);
  expect(await project.follow(0, whole)).toBe("lists");
  expect(await project.differences(0)).toEqual([]);
  // The other host scans: both ways lead to the same tree.
  expect(await project.follow(1, whole)).toBe("scan");
  expect(await project.differences(1)).toEqual([]);
  return project;
}

const fill = async (directory: string, count: number) => {
  await mkdir(directory, { recursive: true });
  for (let index = 0; index < count; index++)
    await writeFile(join(directory, `file-${index}`), String(index));
};

test.each([
  ["root", true],
  ["an ordinary user, without a chroot", false],
])("hard links across what changed and what did not, from the daemon of %s", async (_, chroot) => {
  await carry({
    chroot,
    before: async (root) => {
      await fill(join(root, "a"), 3);
      await link(join(root, "a/file-0"), join(root, "same"));
      await link(join(root, "a/file-1"), join(root, "broken-up"));
    },
    after: async (root) => {
      await link(join(root, "a/file-0"), join(root, "a/third"));
      await rm(join(root, "broken-up"));
      await writeFile(join(root, "broken-up"), "now alone");
      await link(join(root, "a/file-2"), join(root, "new"));
      await rm(join(root, "a/file-2"));
    },
  });
});

test("symlinks that dangle, are absolute, or lead out of the tree stay as they are", async () => {
  await carry({
    before: async (root) => {
      await symlink("nowhere", join(root, "dangling"));
      await symlink("../../..", join(root, "out"));
      await symlink("dangling", join(root, "changes"));
    },
    after: async (root) => {
      await symlink("/etc/passwd", join(root, "absolute"));
      await rm(join(root, "changes"));
      await symlink("../../../../etc", join(root, "changes"));
      await rm(join(root, "out"));
      await mkdir(join(root, "out"));
    },
  });
});

test("a directory that becomes a file, and a file that becomes a directory", async () => {
  await carry({
    before: async (root) => {
      await fill(join(root, "directory/below"), 3);
      await writeFile(join(root, "file"), "file");
    },
    after: async (root) => {
      await rm(join(root, "directory"), { recursive: true });
      await writeFile(join(root, "directory"), "now a file");
      await rm(join(root, "file"));
      await fill(join(root, "file/below"), 3);
    },
  });
});

test("a directory of thousands of files that is renamed, and empty ones that come and go", async () => {
  await carry({
    before: async (root) => {
      await fill(join(root, "old"), 3000);
      await mkdir(join(root, "empty/goes"), { recursive: true });
    },
    after: async (root) => {
      await rename(join(root, "old"), join(root, "new"));
      await rm(join(root, "empty/goes"), { recursive: true });
      await mkdir(join(root, "comes/and/is/empty"), { recursive: true });
    },
  });
});

test("names of any bytes", async () => {
  const names = [
    "line\nbreak",
    "back\\slash",
    "\\#012",
    "-leading",
    " spaces ",
    "\xff\xfe\x80",
    "*?[a]",
    "x".repeat(255),
    "tab\tstop",
    "caf\xe9",
    "…",
  ];
  const at = (root: string, name: string) => Buffer.from(`${root}/${name}`, "latin1");
  await carry({
    before: async (root) => {
      for (const name of names.slice(0, 6)) await writeFile(at(root, name), name);
    },
    after: async (root) => {
      for (const name of names.slice(0, 3)) await rm(at(root, name));
      for (const name of names.slice(3)) await writeFile(at(root, name), `new ${name}`);
      await mkdir(at(root, "\xff/\n"), { recursive: true });
      await writeFile(at(root, "\xff/\n/-\\"), "deep");
    },
  });
});

test("names that differ in case alone, and a rename that changes the case alone", async () => {
  await carry({
    before: (root) => writeFile(join(root, "Packages"), "one"),
    after: async (root) => {
      await rename(join(root, "Packages"), join(root, "packages"));
      await writeFile(join(root, "PACKAGES"), "two");
    },
  });
});

test("sparse and large files, odd modes, times long ago and with nanoseconds", async () => {
  await carry({
    before: async (root) => {
      await writeFile(join(root, "sparse"), "");
      await truncate(join(root, "sparse"), 64 * 1024 * 1024);
      await fill(join(root, "modes"), 4);
    },
    after: async (root) => {
      await writeFile(join(root, "large"), Buffer.alloc(20_000_000, "large"));
      await truncate(join(root, "sparse"), 65 * 1024 * 1024);
      await chmod(join(root, "modes"), 0o2775);
      for (const [index, mode] of [0o400, 0o4755, 0o1777, 0o2640].entries())
        await chmod(join(root, `modes/file-${index}`), mode);
      await writeFile(join(root, "long-ago"), "1970");
      await utimes(join(root, "long-ago"), 1, 1);
      execFileSync("touch", ["-d", "2001-02-03T04:05:06.123456789Z", join(root, "nanoseconds")]);
    },
  });
});

test("devices, pipes and sockets are left out, and hold nothing up", async () => {
  const project = await carry({
    before: (root) => fill(root, 1),
    after: async (root) => {
      await writeFile(join(root, "new"), "new");
    },
  });
  execFileSync("mkfifo", [join(project.root, "pipe")]);
  await project.pull(whole);
  await project.follow(0, whole);
  expect(await project.differences(0)).toEqual([]);
  expect((await readdir(project.hostRoots[0]!)).toSorted()).toEqual(["file-0", "new"]);
});
