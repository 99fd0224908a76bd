import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { readdir } from "node:fs/promises";
import { createServer } from "node:http";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import type { AgentCtx } from "../../agent/context.ts";
import { deliverResult } from "../../agent/deliver.ts";
import { newSpoolEntry } from "../../agent/spool.ts";
import { statusByCode, type ErrorCode } from "../../protocol/errors.ts";
import { testResult } from "../helpers/control-plane.ts";
import { temporaryDirectory } from "../helpers/directory.ts";

/** A control plane that answers each kind of report as told; a list is used up from its front. */
async function deliverTo(answers: { log: ErrorCode | null; result: (ErrorCode | null)[] }) {
  const received: string[] = [];
  const server = createServer((request, response) => {
    const kind = request.url!.split("/").at(-1)!.split("?")[0] as "log" | "result";
    received.push(kind);
    const code = kind === "log" ? answers.log : (answers.result.shift() ?? null);
    const status = code === null ? 200 : statusByCode[code];
    const problem = { type: "x", title: "x", status, code, detail: "as told" };
    const offset = Number(new URL(request.url!, "http://host").searchParams.get("offset"));
    let length = 0;
    request
      .on("data", (chunk: Buffer) => {
        length += chunk.length;
      })
      .once("end", () => {
        const answer = { nextOffset: offset + length, cancel: false };
        response.writeHead(status).end(JSON.stringify(code === null ? answer : problem));
      });
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  const { port } = server.address() as { port: number };
  const stateDir = await temporaryDirectory();
  const said: string[] = [];
  const ctx = {
    controlPlane: `http://127.0.0.1:${port}`,
    log: (line: string) => void said.push(line),
  } as unknown as AgentCtx;
  const entry = await newSpoolEntry({
    stateDir,
    ticket: { taskId: randomUUID(), attempt: 1, taskToken: "token" },
  });
  entry.write("a line");
  await entry.finish(testResult());
  const delivered = await deliverResult(ctx, {
    entry,
    offset: 0,
    signal: new AbortController().signal,
  });
  return { received, delivered, said, left: await readdir(join(stateDir, "spool")) };
}

test("log and result are delivered in this order, and nothing stays on disk", async () => {
  const { received, left } = await deliverTo({ log: null, result: [null] });
  expect(received).toEqual(["log", "result"]);
  expect(left).toEqual([]);
});

test("a log that is not taken does not cost the result", async () => {
  const { received, said } = await deliverTo({ log: "body-too-large", result: [null] });
  expect(received).toEqual(["log", "result"]);
  expect(said.join()).toContain("its log is not taken");
});

test("what fails for the moment is tried again until it is taken", async () => {
  const { received, delivered } = await deliverTo({ log: null, result: ["unavailable", null] });
  expect(received).toEqual(["log", "result", "result"]);
  expect(delivered).toBe(true);
});

test("a result that nobody wants any more is dropped, and said", async () => {
  const { received, left, said } = await deliverTo({ log: null, result: ["stale-attempt"] });
  expect(received).toEqual(["log", "result"]);
  expect(said.join()).toContain("not wanted any more");
  expect(left).toEqual([]);
});
