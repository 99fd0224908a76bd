import { once } from "node:events";
import { createServer } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { send } from "../../agent/request.ts";

test("a control plane that takes the request and never answers is given up after the time-out", async () => {
  const server = createServer(() => {}).listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  const { port } = server.address() as { port: number };
  const asked = send({ url: `http://127.0.0.1:${port}/x`, method: "GET", timeoutSeconds: 1 });
  await expect(asked).rejects.toMatchObject({
    code: "unavailable",
    message: expect.stringContaining("no answer within 1 seconds"),
  });
});
