import { once } from "node:events";
import { connect, createServer, type NetConnectOpts, type Socket } from "node:net";

/** How a link treats what is sent over it. */
type Link = "open" | "hole" | "slow";

const slowMilliseconds = 400;

export type TcpProxy = {
  port: number;
  /** Black hole: nothing is forwarded, and nobody is told; what was sent arrives when it is open again. */
  set: (link: Link) => void;
  /** Breaks the connections that there are. */
  cut: () => void;
  close: () => Promise<void>;
};

/** A TCP proxy in front of `target`, which may change: it is asked at each connection. */
export async function startTcpProxy({
  target,
}: {
  target: () => NetConnectOpts;
}): Promise<TcpProxy> {
  let link: Link = "open";
  const sockets = new Set<Socket>();
  const held = new Set<() => void>();
  const carry = (from: Socket, to: Socket) => {
    from.on("data", (chunk: Buffer) => {
      const write = () => {
        from.resume();
        if (!to.destroyed) to.write(chunk);
      };
      if (link === "open") return write();
      from.pause();
      if (link === "slow") setTimeout(write, slowMilliseconds);
      else held.add(write);
    });
  };
  const server = createServer((client) => {
    const server = connect(target());
    const end = () => {
      // Through a black hole no end of a connection is heard of either.
      const tell = () => {
        client.destroy();
        server.destroy();
      };
      if (link === "hole") held.add(tell);
      else tell();
    };
    for (const socket of [client, server]) {
      sockets.add(socket);
      socket.on("error", () => undefined);
      socket.on("close", () => {
        sockets.delete(socket);
        end();
      });
    }
    carry(client, server);
    carry(server, client);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const release = () => {
    const waiting = [...held];
    held.clear();
    for (const write of waiting) write();
  };
  const cut = () => {
    for (const socket of sockets) socket.destroy();
  };
  return {
    port: (server.address() as { port: number }).port,
    set: (next) => {
      link = next;
      if (next !== "hole") release();
    },
    cut,
    close: async () => {
      link = "open";
      cut();
      release();
      server.close();
      await once(server, "close");
    },
  };
}
