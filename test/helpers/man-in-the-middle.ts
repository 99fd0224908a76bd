import { once } from "node:events";
import { createServer } from "node:http";
import { buffer } from "node:stream/consumers";
import { onTestFinished } from "vitest";

export type Passing = { path: string; body: string };
export type Answered = { status: number; body: string };

/**
 * Somebody between an agent and its control plane, who reads all that passes and answers what he likes:
 * what `meddle` makes of the true answer.
 */
export async function startManInTheMiddle(target: string) {
  const heard: Passing[] = [];
  const man = {
    meddle: (answer: Answered, _asked: Passing): Answered | Promise<Answered> => answer,
  };
  const server = createServer((request, response) => {
    void (async () => {
      const path = request.url ?? "/";
      const bytes = await buffer(request);
      heard.push({ path, body: bytes.toString() });
      const { host: _, connection: __, "content-length": ___, ...headers } = request.headers;
      const answer = await fetch(target + path, {
        method: request.method ?? "GET",
        headers: headers as Record<string, string>,
        ...(bytes.length > 0 && { body: new Uint8Array(bytes) }),
      });
      const passed = { status: answer.status, body: await answer.text() };
      const { status, body } = await man.meddle(passed, heard.at(-1)!);
      response.writeHead(status, {
        "content-type": answer.headers.get("content-type") ?? "text/plain",
      });
      response.end(body);
    })().catch(() => response.destroy());
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(async () => {
    server.closeAllConnections();
    server.close();
    await once(server, "close");
  });
  const { port } = server.address() as { port: number };
  return { url: `http://127.0.0.1:${port}`, heard, man };
}
