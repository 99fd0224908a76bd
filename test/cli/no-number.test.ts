import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { startHttpReceiver } from "../helpers/receivers.ts";

const program = fileURLToPath(new URL("../../cli/main.ts", import.meta.url));

test.each([
  [
    "settings --keep-runs forever --upstream-parallel none",
    { keepRunsDays: null, upstreamParallel: null },
  ],
  ["host set ftp1 --parallel agent --serves all", { parallel: null, serves: null }],
])("%s sends what the words stand for", async (line, body) => {
  const { url, received } = await startHttpReceiver();
  const env = { PATH: process.env["PATH"]!, HOME: "/nonexistent", MIRRORFLEET_URL: url };
  await new Promise((resolve) => {
    execFile(
      process.execPath,
      [program, ...line.split(" ")],
      { env: { ...env, MIRRORFLEET_TOKEN: "mfo_x" } },
      resolve,
    );
  });
  const patches = received.filter(({ method }) => method === "PATCH");
  expect(patches.map((request) => JSON.parse(request.body))).toEqual([body]);
});
