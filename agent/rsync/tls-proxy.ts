import { randomBytes, timingSafeEqual } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import { openTls, type TlsTarget } from "./tls-connect.ts";

/** Begins what the proxy says of its connection: it tells its faults from rsync's. */
export const tlsFault = "mirrorfleet-agent tls: ";

const user = "rsync";
/** rsync opens one connection; others are strangers, who are sent away. */
const maxConnections = 16;

export type TlsProxy = {
  /** Environment in which rsync goes through the proxy. */
  env: { RSYNC_PROXY: string };
  /** Ends the proxy and what goes through it: rsync has ended. */
  close: () => void;
};

/**
 * rsync knows no TLS, but HTTP proxies: this one, on loopback and with a password of its own, leads to one daemon, through
 * TLS. A program for each connection (RSYNC_CONNECT_PROG) would cost its start. `onFault` hears why there is no
 * connection, or no more.
 */
export async function openTlsProxy(
  target: TlsTarget,
  { onFault }: { onFault: (line: string) => void },
): Promise<TlsProxy> {
  const password = randomBytes(32).toString("base64url");
  const expected = Buffer.from(`Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`);
  const mayEnter = (authorization = "") => {
    const given = Buffer.from(authorization);
    return given.length === expected.length && timingSafeEqual(given, expected);
  };
  const open = new Set<Duplex>();
  const keep = (socket: Duplex) => {
    open.add(socket);
    socket.once("close", () => open.delete(socket));
  };
  const fault = ({ message }: Error) =>
    onFault(`${tlsFault}${target.host}:${target.port}: ${message}`);
  const connect = async (rsync: Duplex) => {
    const tls = await openTls(target).catch((error: Error) => {
      if (!rsync.destroyed) fault(error);
      rsync.end("HTTP/1.0 502 no connection through TLS\r\n\r\n");
    });
    if (!tls) return;
    keep(tls);
    tls.on("error", (error) => {
      fault(error);
      rsync.destroy();
    });
    rsync.once("close", () => tls.destroy());
    if (rsync.destroyed) tls.destroy();
    else {
      rsync.write("HTTP/1.0 200 OK\r\n\r\n");
      rsync.pipe(tls).pipe(rsync);
    }
  };
  const server = createServer((_, response) => response.writeHead(405).end());
  server.maxConnections = maxConnections;
  server.on("connect", ({ headers }, rsync) => {
    keep(rsync);
    // The transfer has ended when rsync has gone.
    rsync.on("error", () => rsync.destroy());
    if (mayEnter(headers["proxy-authorization"])) void connect(rsync);
    else rsync.end("HTTP/1.0 407 Proxy Authentication Required\r\n\r\n");
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  // A connection that cannot be taken is rsync's to notice; the agent has other work.
  server.on("error", fault);
  const { port } = server.address() as AddressInfo;
  return {
    env: { RSYNC_PROXY: `${user}:${password}@127.0.0.1:${port}` },
    close: () => {
      server.close();
      server.closeAllConnections();
      for (const socket of open) socket.destroy();
    },
  };
}
