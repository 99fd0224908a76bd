import { once } from "node:events";
import { createServer, type IncomingHttpHeaders } from "node:http";
import { type AddressInfo, createServer as createTcpServer, type Socket } from "node:net";
import { text } from "node:stream/consumers";
import { SMTPServer } from "smtp-server";
import { Webhook } from "standardwebhooks";
import { onTestFinished } from "vitest";

type Request = { method: string; path: string; headers: IncomingHttpHeaders; body: string };

/** An HTTP server on loopback that keeps what it is sent; `answers`: statuses of the first requests, 200 afterwards. */
export async function startHttpReceiver({
  answers = [],
  port = 0,
}: { answers?: number[]; port?: number } = {}) {
  const received: Request[] = [];
  const left = [...answers];
  const server = createServer((request, response) => {
    const { method = "", url: path = "", headers } = request;
    void text(request).then((body) => {
      received.push({ method, path, headers, body });
      response.writeHead(left.shift() ?? 200, { location: "/elsewhere" }).end("{}");
    });
  });
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  const close = async () => {
    if (!server.listening) return;
    server.closeAllConnections();
    server.close();
    await once(server, "close");
  };
  onTestFinished(close);
  const { port: listening } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${listening}`, port: listening, received, close };
}

export const webhookSecret = `whsec_${Buffer.alloc(32, 7).toString("base64")}`;

/** What a webhook tells, its signature checked by the library of those who made the scheme. */
export function openWebhook({ headers, body }: Request) {
  const told = new Webhook(webhookSecret).verify(body, headers as Record<string, string>) as any;
  return {
    id: headers["webhook-id"] as string,
    kind: String(told.type).replace(/^alert\./, ""),
    total: told.data.total as number,
    alerts: told.data.alerts as any[],
    subjects: told.data.alerts.map(({ condition, project, host }: any) =>
      [condition, project, host].filter(Boolean).join(" "),
    ) as string[],
  };
}

/** A port on loopback that takes connections and says nothing. */
export async function startSilentServer() {
  const sockets = new Set<Socket>();
  const server = createTcpServer((socket) => sockets.add(socket.on("error", () => undefined)));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return { port: (server.address() as AddressInfo).port, sockets };
}

/** A mail server on loopback, with a certificate that nobody trusts; refuses the first mails, and all without this login. */
export async function startMailServer({
  refuse = 0,
  secure = false,
  login,
}: {
  refuse?: number;
  secure?: boolean;
  login?: { user: string; password: string };
} = {}) {
  const mails: { from: string; to: string[]; raw: string }[] = [];
  let refused = 0;
  const server = new SMTPServer({
    secure,
    authOptional: login === undefined,
    allowInsecureAuth: true,
    logger: false,
    onAuth({ username, password }, _session, done) {
      const right = username === login?.user && password === login?.password;
      done(right ? null : new Error("wrong login"), right ? { user: username } : undefined);
    },
    onMailFrom(_address, _session, done) {
      refused += 1;
      done(refused <= refuse ? Object.assign(new Error("busy"), { responseCode: 451 }) : null);
    },
    onData(stream, { envelope }, done) {
      const from = envelope.mailFrom === false ? "" : envelope.mailFrom.address;
      const to = envelope.rcptTo.map(({ address }) => address);
      const parts: Buffer[] = [];
      stream.on("data", (part: Buffer) => parts.push(part));
      stream.on("end", () => {
        mails.push({ from, to, raw: Buffer.concat(parts).toString() });
        done();
      });
    },
  });
  server.on("error", () => undefined);
  server.listen(0, "127.0.0.1");
  await once(server.server, "listening");
  onTestFinished(
    () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
      }),
  );
  const { port } = server.server.address() as AddressInfo;
  return { port, mails };
}
