import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdir, readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { execa } from "execa";
import { expect, test } from "vitest";
import { processesIn } from "../helpers/demo.ts";
import { temporaryDirectory } from "../helpers/directory.ts";

const program = fileURLToPath(new URL("../../chaos/main.ts", import.meta.url));

test.each(["seed 4", "faults begin"])(
  "chaos that is interrupted, twice, after %j leaves no program, no disk, no namespace and no file behind",
  async (marker) => {
    const directory = await temporaryDirectory();
    const args = [program, "--minutes", "1", "--seed", "4", "--hosts", "1"];
    const child = spawn(process.execPath, args, {
      env: { ...process.env, TMPDIR: directory },
      stdio: ["ignore", "pipe", "ignore"],
    });
    let output = "";
    const interrupt = () => child.kill("SIGINT");
    child.stdout.on("data", (chunk: Buffer) => {
      const before = output.includes(marker);
      output += chunk.toString();
      if (before || !output.includes(marker)) return;
      interrupt();
      setTimeout(interrupt, 300);
    });
    expect(await once(child, "exit")).toEqual([2, null]);
    expect(await processesIn(directory)).toEqual([]);
    expect(await readFile("/proc/self/mounts", "utf8")).not.toContain(directory);
    const [run] = /mfc[0-9a-f]{6}/.exec(output) ?? [];
    if (run !== undefined) {
      const { stdout: namespaces } = await execa("ip", ["netns", "list"]);
      const { stdout: links } = await execa("ip", ["-brief", "link"]);
      expect(namespaces + links).not.toContain(run);
    }
    expect(await readdir(directory)).toEqual([]);
  },
);
