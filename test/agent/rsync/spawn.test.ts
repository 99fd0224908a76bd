import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { runRsync } from "../../../agent/rsync/spawn.ts";
import { temporaryDirectory } from "../../helpers/directory.ts";
import { syncSpec } from "../../helpers/rsync.ts";

test("a pull that is told to end does not wait for what rsync has left outside of its group", async () => {
  const directory = await temporaryDirectory();
  const rsync = join(directory, "rsync");
  // As with a TLS client that connects to a host which does not answer: it keeps rsync's stderr.
  await writeFile(rsync, "#!/bin/sh\ntrap 'exit 0' TERM\nsetsid sleep 30 &\nsleep 30 &\nwait\n", {
    mode: 0o755,
  });
  const end = new AbortController();
  const started = performance.now();
  const ended = runRsync(
    { rsync, stateDir: directory, wrapper: [] },
    {
      argv: [],
      connection: { source: syncSpec({ port: 1 }).steps[0]!.sources[0]!.source, ipVersion: null },
      password: null,
      wallClockSeconds: 60,
      stallSeconds: 60,
      signal: end.signal,
      onLine: () => {},
      onProgress: () => {},
    },
  );
  setTimeout(() => end.abort(), 200);
  // It was not heard to the end: nothing may be concluded from how it ended.
  expect(await ended).toMatchObject({ ended: "interrupted", exitCode: null });
  expect(performance.now() - started).toBeLessThan(15_000);
});
