import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { instructions, tell } from "../workers.ts";

/** Started as a process: a node:http server that answers nothing. */
await instructions();
const held: ServerResponse[] = [];
const server = createServer((request, response) => {
  request.resume();
  held.push(response);
});
server.listen(0, "127.0.0.1", () =>
  tell({ kind: "ready", port: (server.address() as AddressInfo).port }),
);
