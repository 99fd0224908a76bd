import { execa } from "execa";
import { describe, expect, it } from "vitest";

const bench = (...args: string[]) =>
  execa("node", ["bench/main.ts", ...args], { reject: false, all: true });

describe("npm run bench", () => {
  it("tells what can be measured, and refuses what it does not know", async () => {
    const help = await bench("history", "--help");
    expect(help).toMatchObject({ exitCode: 0, stderr: "" });
    expect(help.stdout).toContain("--tasks N,N");
    const wrong = [["speed"], ["history", "--tasks", "many"], ["history", "--fast"], []];
    for (const args of wrong) {
      const { exitCode, stderr } = await bench(...args);
      expect([exitCode, stderr]).toEqual([2, expect.stringContaining("npm run bench")]);
    }
  });

  it.for([
    ["fanout --files 300 --changes 0,10 --hosts 1", "scan/ours"],
    ["propagate --hosts 1 --rounds 2", "p99"],
    ["history --tasks 100,1000 --rounds 2", "x at 1000"],
    ["idle --agents 20 --rounds 3", "memory an agent"],
    ["dashboard --projects 3 --hosts 2 --rounds 2", "gzip"],
    ["tls --megabytes 8 --rounds 2", "TLS ÷ plain"],
  ] as const)("measures: %s", async ([args, told]) => {
    const { exitCode, all } = await bench(...args.split(" "));
    expect([exitCode, all]).toEqual([0, expect.stringContaining(told)]);
  });
});
