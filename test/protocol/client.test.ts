import { once } from "node:events";
import { createServer, type RequestListener } from "node:http";
import { expect, onTestFinished, test } from "vitest";
import { createClient } from "../../protocol/client.ts";

async function clientOf(listener: RequestListener) {
  const server = createServer(listener).listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  const { port } = server.address() as { port: number };
  return createClient({ url: `http://127.0.0.1:${port}`, token: "secret-token" });
}

test("a problem document becomes an error with its code and fields", async () => {
  const client = await clientOf((_, response) => {
    response.writeHead(404, { "content-type": "application/problem+json" }).end(
      JSON.stringify({
        type: "about:blank",
        title: "Not Found",
        status: 404,
        code: "not-found",
        detail: "there is no such project",
      }),
    );
  });
  await expect(client.getProject("x")).rejects.toMatchObject({
    code: "not-found",
    message: "there is no such project",
  });
});

test("an answer of a proxy in between is said as such, not as broken JSON", async () => {
  const client = await clientOf((_, response) => {
    response.writeHead(502, { "content-type": "text/html" }).end("<h1>Bad Gateway</h1>");
  });
  await expect(client.getProject("x")).rejects.toMatchObject({
    code: "unavailable",
    message: expect.stringContaining("answered 502"),
  });
});

test("an answer that is not of the contract names what is wrong", async () => {
  const client = await clientOf((_, response) => void response.end('{"items":[{"id":7}]}'));
  await expect(client.listHosts()).rejects.toThrow(/the answer to GET \/v1\/hosts .*items/);
});

test("a control plane that is not there is said with its address, without the token", async () => {
  const client = createClient({ url: "http://127.0.0.1:1", token: "secret-token" });
  const error = await client.listHosts().then(
    () => null,
    (reason: unknown) => reason as Error & { code: string },
  );
  expect(error?.code).toBe("unavailable");
  expect(error?.message).toContain("http://127.0.0.1:1");
  expect(error?.stack).not.toContain("secret-token");
});
