import type { Server, ServerResponse } from "node:http";

/** Milliseconds after which what is not over is cut off. */
const patience = 2000;

/**
 * Ends a server. `release` ends the waits of held polls: they are answered with nothing. An agent that comes again on its
 * connection is answered at once, and that ends the connection, so that it turns to another replica.
 */
export async function stopServing(
  server: Server,
  { release }: { release: () => Promise<void> },
): Promise<void> {
  server.prependListener("request", (_: unknown, response: ServerResponse) => {
    response.shouldKeepAlive = false;
  });
  await release();
  const closed = new Promise((resolve) => server.close(resolve));
  server.closeIdleConnections();
  const cut = setTimeout(() => server.closeAllConnections(), patience);
  await closed;
  clearTimeout(cut);
}
