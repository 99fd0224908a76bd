import { setTimeout as sleep } from "node:timers/promises";
import { instructions, tell } from "../workers.ts";
import { openLine } from "./line.ts";

/** Started as a process: requests as long as an agent's, that nobody answers. */
const { port, count } = await instructions<{ port: number; count: number }>();
const request = {
  method: "POST" as const,
  path: "/v1/agent/poll",
  authorization: "x".repeat(600),
  body: "x".repeat(200),
};
for (let index = 0; index < count; index++) {
  openLine({ host: "127.0.0.1", port })
    .request(request)
    .catch((error: unknown) => {
      throw error;
    });
  // The server's queue of connections that it has yet to take is short.
  if (index % 100 === 99) await sleep(10);
}
await sleep(1000);
tell({ kind: "ready" });
