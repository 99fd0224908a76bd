import { PassThrough } from "node:stream";
import { expect, test } from "vitest";
import { createRunScreen } from "../../cli/run-screen.ts";
import type { RunDetail, Task } from "../../protocol/run.ts";

test("a host that begins nothing is shown with the reason, once for each reason", () => {
  const output = new PassThrough();
  const screen = createRunScreen({
    output: output as unknown as NodeJS.WriteStream,
    hosts: ["ftp1"],
  });
  const queued = { host: "ftp1", state: "queued", progress: null, result: null } as Task;
  const run = { tasks: [queued], finishedAt: null } as unknown as RunDetail;
  const drained = new Map([["ftp1", "is drained: mirrorfleet host resume ftp1"]]);
  screen.draw(run, new Map());
  screen.draw(run, drained);
  screen.draw(run, drained);
  const said = String(output.read());
  expect(said.match(/queued/g)).toHaveLength(2);
  expect(said).toContain("is drained: mirrorfleet host resume ftp1");
});
