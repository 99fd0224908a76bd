import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { onTestFinished } from "vitest";

/** A TCP proxy whose connections break after `limit.bytes` bytes of answers. */
export async function startCuttingProxy({ port }: { port: number }) {
  const limit = { bytes: Number.POSITIVE_INFINITY };
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const target = connect({ host: "127.0.0.1", port });
    const end = () => {
      client.destroy();
      target.destroy();
    };
    for (const socket of [client, target]) {
      sockets.add(socket);
      socket.on("error", end);
      socket.on("close", () => {
        sockets.delete(socket);
        end();
      });
    }
    client.pipe(target);
    target.on("data", (chunk: Buffer) => {
      const rest = chunk.subarray(0, Math.max(0, limit.bytes));
      limit.bytes -= chunk.length;
      client.write(rest);
      if (limit.bytes <= 0) end();
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(async () => {
    for (const socket of sockets) socket.destroy();
    server.close();
    await once(server, "close");
  });
  return { limit, port: (server.address() as { port: number }).port };
}
