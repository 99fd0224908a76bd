import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { readConfig } from "../../control-plane/config.ts";
import { temporaryDirectory } from "../helpers/directory.ts";

test("secret and database may be systemd's credentials; variables come before them", async () => {
  const directory = await temporaryDirectory();
  await writeFile(join(directory, "mirrorfleet.secret"), "c2VjcmV0\n");
  await writeFile(join(directory, "mirrorfleet.database-url"), "postgres://user@db/mirrorfleet\n");
  const environment = { CREDENTIALS_DIRECTORY: directory };
  expect(readConfig(environment)).toMatchObject({
    secret: "c2VjcmV0",
    databaseUrl: "postgres://user@db/mirrorfleet",
  });
  expect(readConfig({ ...environment, MIRRORFLEET_SECRET: "b3RoZXI=" }).secret).toBe("b3RoZXI=");
});

test("credentials that are not given are not missed", async () => {
  const environment = { CREDENTIALS_DIRECTORY: await temporaryDirectory() };
  expect(readConfig(environment)).toMatchObject({ secret: undefined, databaseUrl: undefined });
});
