import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { expect, test } from "vitest";
import { databaseElsewhere, demo, processesIn } from "../helpers/demo.ts";
import { temporaryDirectory } from "../helpers/directory.ts";

test.each(["the demo is in", "control plane:", "have joined", "first sync", "syncing"])(
  "Ctrl-C after %j ends the demo with 130 and leaves nothing behind",
  async (marker) => {
    const directory = await temporaryDirectory();
    const child = spawn(process.execPath, [demo, "--once"], {
      env: { ...process.env, TMPDIR: directory },
      stdio: ["ignore", "pipe", "inherit"],
    });
    let output = "";
    child.stdout.on("data", (chunk: Buffer) => {
      output += chunk.toString();
      if (output.includes(marker)) child.kill("SIGINT");
    });
    const [status] = await once(child, "exit");
    expect(status).toBe(130);
    expect(output.trim().split("\n").at(-1)).toContain('{"ok":false,"reason":"ended by SIGINT"}');
    expect(await processesIn(directory)).toEqual([]);
    expect(await readdir(directory)).toEqual([]);
    const database = databaseElsewhere(output);
    if (database) expect(existsSync(database)).toBe(false);
  },
);
