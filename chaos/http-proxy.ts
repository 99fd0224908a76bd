import { once } from "node:events";
import { createServer, type IncomingMessage, request, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { buffer } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import type { Random } from "./random.ts";

/** How the proxy treats requests: `hole` says nothing, `deaf` delivers and loses the answer, `reset` breaks off in it. */
type Manner = "pass" | "hole" | "deaf" | "reset" | "slow";

export type Exchange = {
  method: string;
  path: string;
  authorization: string;
  body: Buffer;
  sent: number;
  answered: number;
  /** 0: nothing was heard. */
  status: number;
  answer: Buffer;
  copy: boolean;
};

type Asked = Pick<Exchange, "method" | "path" | "body"> & { headers: IncomingMessage["headers"] };

/** Share of the reports that are sent again, later, several times. */
const copiedShare = 0.15;

function forward(
  { method, path, body, headers }: Asked,
  { port, signal }: { port: number; signal: AbortSignal },
): Promise<{ status: number; answer: Buffer; headers: IncomingMessage["headers"] }> {
  return new Promise((resolve, reject) => {
    const out = request({ host: "127.0.0.1", port, method, path, headers, signal, agent: false });
    out.on("response", (response) => {
      buffer(response).then(
        (answer) => resolve({ status: response.statusCode!, answer, headers: response.headers }),
        reject,
      );
    });
    out.on("error", reject);
    out.end(body);
  });
}

export type HttpProxy = {
  url: string;
  set: (manner: Manner) => void;
  close: () => Promise<void>;
};

/**
 * A reverse proxy before several control planes, as nginx is: one that refuses the connection is passed
 * over. Tells each exchange, and sends some reports again seconds later.
 */
export async function startHttpProxy(
  ctx: { random: Random; now: () => number; record: (exchange: Exchange) => void },
  {
    ports,
    address = "127.0.0.1",
    tls,
  }: { ports: number[]; address?: string; tls?: { key: string; cert: string } | undefined },
): Promise<HttpProxy> {
  let manner: Manner = "pass";
  let turn = 0;
  const opened = Promise.withResolvers<void>();
  let open = opened;
  const closing = new AbortController();

  const deliver = async (
    asked: Asked,
    { copy, signal }: { copy: boolean; signal: AbortSignal },
  ) => {
    const sent = ctx.now();
    const common = {
      ...asked,
      authorization: asked.headers.authorization ?? "",
      sent,
      copy,
    };
    let failure: unknown;
    for (let tries = 0; tries < ports.length; tries++) {
      const port = ports[turn++ % ports.length]!;
      try {
        const got = await forward(asked, { port, signal });
        ctx.record({ ...common, answered: ctx.now(), status: got.status, answer: got.answer });
        return got;
      } catch (error) {
        failure = error;
        if ((error as NodeJS.ErrnoException).code !== "ECONNREFUSED") break;
      }
    }
    ctx.record({ ...common, answered: ctx.now(), status: 0, answer: Buffer.alloc(0) });
    throw failure;
  };

  const copyLater = async (asked: Asked) => {
    for (let copies = 0; copies < 4; copies++) {
      await sleep(ctx.random.between(500, 4000), undefined, { signal: closing.signal });
      await deliver(asked, { copy: true, signal: closing.signal }).catch(() => undefined);
    }
  };

  const handle = async (incoming: IncomingMessage, outgoing: ServerResponse) => {
    const asked: Asked = {
      method: incoming.method!,
      path: incoming.url!,
      headers: incoming.headers,
      body: await buffer(incoming),
    };
    if (manner === "hole") await open.promise;
    if (manner === "slow") await sleep(ctx.random.between(200, 2000));
    const gone = new AbortController();
    // A report that is on its way arrives, though its sender has gone.
    if (asked.path.endsWith("/poll")) outgoing.on("close", () => gone.abort());
    if (
      /^\/v1\/tasks\/[^/]+\/(heartbeat|log|result)/.test(asked.path) &&
      ctx.random.next() < copiedShare
    )
      copyLater(asked).catch(() => undefined);
    const signal = AbortSignal.any([gone.signal, closing.signal]);
    const { status, answer, headers } = await deliver(asked, { copy: false, signal });
    if (manner === "hole") await open.promise;
    if (manner === "deaf") outgoing.destroy();
    else if (manner === "reset") {
      outgoing.writeHead(status, headers).write(answer.subarray(0, answer.length / 2));
      setTimeout(() => outgoing.destroy(), 20);
    } else outgoing.writeHead(status, headers).end(answer);
  };

  const answer = (incoming: IncomingMessage, outgoing: ServerResponse) => {
    handle(incoming, outgoing).catch(() => {
      // As a proxy whose control plane broke off.
      if (outgoing.headersSent || outgoing.destroyed) outgoing.destroy();
      else outgoing.writeHead(502).end("bad gateway");
    });
  };
  // Not to close a connection just when its client uses it again.
  const options = { keepAliveTimeout: 600_000 };
  const server = tls
    ? createTlsServer({ ...options, ...tls }, answer)
    : createServer(options, answer);
  server.listen(0, address);
  await once(server, "listening");
  opened.resolve();
  return {
    url: `${tls ? "https" : "http"}://${address}:${(server.address() as { port: number }).port}`,
    set: (next) => {
      if (next === "hole" && manner !== "hole") open = Promise.withResolvers();
      manner = next;
      if (next !== "hole") open.resolve();
    },
    close: async () => {
      open.resolve();
      closing.abort();
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}
