import { runInNewContext } from "node:vm";
import { expect, test } from "vitest";
import { refuseOldNode } from "../../build/old-node.ts";

/** What a program says and how it ends, started by a Node of that version. */
function startedBy(node: string) {
  const said: string[] = [];
  const ended: number[] = [];
  const process = {
    version: `v${node}`,
    versions: { node },
    stderr: { write: (text: string) => said.push(text) },
    exit: (status: number) => ended.push(status),
  };
  runInNewContext(refuseOldNode, { process });
  return { said, ended };
}

test.each(["18.20.4", "22.14.0", "24.1.0"])("Node %s is refused with a word on why", (node) => {
  expect(startedBy(node)).toEqual({
    said: [expect.stringContaining(`needs Node.js 24.2 or newer, and this is v${node}`)],
    ended: [1],
  });
});

test.each(["24.2.0", "24.21.0", "26.0.0"])("Node %s is not", (node) => {
  expect(startedBy(node)).toEqual({ said: [], ended: [] });
});
