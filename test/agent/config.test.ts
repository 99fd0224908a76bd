import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { readConfig } from "../../agent/config.ts";
import { temporaryDirectory } from "../helpers/directory.ts";

async function configFile(text: string) {
  const file = join(await temporaryDirectory(), "agent.conf");
  await writeFile(file, text);
  return file;
}

const fromEnvironment = (environment: Record<string, string>) =>
  readConfig({ file: "/dev/null", environment, flags: {} });

test("flags win over the environment, and the environment over the file", async () => {
  const file = await configFile(
    "MIRRORFLEET_PARALLEL=1\nMIRRORFLEET_RSYNC=/file\nMIRRORFLEET_STATE_DIR=/file\n",
  );
  const config = readConfig({
    file,
    environment: { MIRRORFLEET_RSYNC: "/environment", MIRRORFLEET_STATE_DIR: "/environment" },
    flags: { "state-dir": "/flag" },
  });
  expect(config).toMatchObject({ parallel: 1, rsync: "/environment", stateDir: "/flag" });
});

test.each([
  ["MIRRORFLEET_CONTROL_PLANE", "ftp://x", "must be an https URL"],
  ["MIRRORFLEET_CONTROL_PLANE", "http://control.example.org", "must be https, except on loopback"],
  ["MIRRORFLEET_MIRROR_ROOTS", "/", 'other than "/"'],
  ["MIRRORFLEET_MIRROR_ROOTS", "srv", "absolute paths"],
  ["MIRRORFLEET_DAEMON_PORT", "0", "from 1 to 65535"],
  ["MIRRORFLEET_DAEMON_PORT", "70000", "from 1 to 65535"],
  ["MIRRORFLEET_DAEMON_PORT", "http", "whole number"],
  ["MIRRORFLEET_OPTIONS", "delete rsh", "delete"],
  ["MIRRORFLEET_SOURCES", "rsync://-e/", "names no valid host"],
  ["MIRRORFLEET_METRICS_FILE", "/srv/metrics.txt", 'ends with ".prom"'],
  ["MIRRORFLEET_PARALLEL", "0", "whole number from 1 to 64"],
  ["MIRRORFLEET_PARALLEL", "two", "whole number from 1 to 64"],
  ["MIRRORFLEET_NICE", "20", "whole number from 0 to 19"],
])("%s=%s is refused, and the error names the setting", (name, value, message) => {
  expect(() => fromEnvironment({ [name]: value })).toThrow(
    expect.objectContaining({
      code: "invalid-input",
      message: expect.stringMatching(new RegExp(`${name}.*${message}`, "s")),
    }),
  );
});

test("a setting in the file that does not exist is refused with the known ones", async () => {
  const file = await configFile("MIRRORFLEET_MIROR_ROOTS=/srv\n");
  expect(() => readConfig({ file, environment: {}, flags: {} })).toThrow(
    /MIRRORFLEET_MIROR_ROOTS is not a known setting; those are .*MIRRORFLEET_MIRROR_ROOTS/,
  );
});

test("a config file that was named and is not there is an error, not an empty one", () => {
  expect(() => readConfig({ file: "/nonexistent", environment: {}, flags: {} })).toThrow(
    "cannot read the config file /nonexistent",
  );
});
