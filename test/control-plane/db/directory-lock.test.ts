import { join } from "node:path";
import { expect, test } from "vitest";
import { lockDirectory } from "../../../control-plane/db/directory-lock.ts";
import { temporaryDirectory } from "../../helpers/postgres.ts";

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
