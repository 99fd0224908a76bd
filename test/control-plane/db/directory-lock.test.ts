import { createHash } from "node:crypto";
import { once } from "node:events";
import { spawn } from "node:child_process";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { lockDirectory } from "../../../control-plane/db/directory-lock.ts";
import { isRoot, temporaryDirectory } from "../../helpers/postgres.ts";

test("of many that want one directory at once, one gets it", async () => {
  const directory = await temporaryDirectory();
  const tries = await Promise.allSettled(
    Array.from({ length: 10 }, () => lockDirectory({ directory })),
  );
  const taken = tries.filter((result) => result.status === "fulfilled");
  expect(taken).toHaveLength(1);
  await taken[0]?.value.release();
});

test("a released directory can be taken again, and another one at any time", async () => {
  const directory = await temporaryDirectory();
  const first = await lockDirectory({ directory });
  const other = await lockDirectory({ directory: join(directory, "other") });
  await first.release();
  await first.release();
  const again = await lockDirectory({ directory });
  await Promise.all([again.release(), other.release()]);
});

const squat = `use Socket; socket(S, PF_UNIX, SOCK_STREAM, 0) or die;
bind(S, pack_sockaddr_un("\\0$ARGV[0]")) or die $!; listen(S, 5) or die; $| = 1; print "up\\n";
while (accept(C, S)) { syswrite(C, $ARGV[1]); close(C) }`;

test.skipIf(!isRoot)(
  "who has taken the name is named when that is a control plane's process, and no other, whatever it says to be",
  async () => {
    const directory = await temporaryDirectory();
    const lock = await lockDirectory({ directory });
    await expect(lockDirectory({ directory })).rejects.toMatchObject({
      code: "conflict",
      message: expect.stringContaining(
        `another mirrorfleet control plane (process ${process.pid})`,
      ),
    });
    await lock.release();
    const name = `mirrorfleet:${createHash("sha256").update(directory).digest("hex")}`;
    // A stranger who says to be this process.
    const args = [
      "--reuid=65534",
      "--clear-groups",
      "perl",
      "-e",
      squat,
      name,
      String(process.pid),
    ];
    const squatter = spawn("setpriv", args, { stdio: ["ignore", "pipe", "inherit"] });
    onTestFinished(() => void squatter.kill("SIGKILL"));
    await once(squatter.stdout, "data");
    await expect(lockDirectory({ directory })).rejects.toMatchObject({
      code: "conflict",
      message: expect.stringMatching(`cannot look into: as root, .*grep ${name}" shows which`),
    });
  },
);
