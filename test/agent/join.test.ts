import { writeFile } from "node:fs/promises";
import { join as joinPath } from "node:path";
import { expect, test } from "vitest";
import { join } from "../../agent/join.ts";
import { temporaryDirectory } from "../helpers/directory.ts";

test("a state directory that cannot be used is refused with the cure, before the token is used up", async () => {
  const file = joinPath(await temporaryDirectory(), "file");
  await writeFile(file, "");
  for (const stateDir of [file, joinPath(file, "state")]) {
    // Nothing listens there: a token that was sent would end as "unavailable".
    const joined = join({
      controlPlane: "http://127.0.0.1:1",
      stateDir,
      token: `mfe_${"A".repeat(43)}.${"A".repeat(43)}`,
      replace: false,
    });
    await expect(joined).rejects.toMatchObject({
      code: "invalid-input",
      message: expect.stringMatching(/cannot use the state directory .*MIRRORFLEET_STATE_DIR/),
    });
  }
});
