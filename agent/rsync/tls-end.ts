import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import type { Duplex, Readable } from "node:stream";
import { createSecureContext, TLSSocket } from "node:tls";
import { networkOf } from "../../protocol/network.ts";
import { openSparseLog } from "./sparse-log.ts";
import { ciphers, minVersion } from "./tls-connect.ts";
import { openWaitingRoom } from "./waiting-room.ts";

/** Variable that says to the TLS end what it serves, as JSON. */
export const tlsEndVariable = "MIRRORFLEET_TLS_END";

export type TlsEndSettings = {
  /** null is all addresses. */
  address: string | null;
  port: number;
  /** File with the key and its certificate. */
  keyFile: string;
  rsync: string;
  /** rsyncd.conf; each connection reads it anew. */
  config: string;
  /** Take those who speak plain rsync, too. */
  plainToo: boolean;
  /** Time that a connection has to shake hands and to say a right password. */
  admissionSeconds: number;
};

/** Time that rsync has to end when its client has gone. */
const endMilliseconds = 10_000;
/** Node then asks ten times in as many seconds: rarely enough that a transfer which is silent outlives an outage. */
const keepAliveInitialDelay = 600_000;

/** First byte of a TLS connection (RFC 8446, 5.1): an rsync begins with "@". */
const handshakeByte = 22;
/** What rsync says to a client with the right password; and within how many bytes. */
const admission = "@RSYNCD: OK\n";
const admissionBytes = 65_536;

const refusal =
  "@RSYNCD: 31.0\n@ERROR: this master takes connections by TLS alone: update the agent of this host, or set MIRRORFLEET_DAEMON_TLS=both on the master until that is done\n";

/** The client's address as rsync's "hosts allow" compares it. */
const addressOf = ({ remoteAddress = "" }: Socket) =>
  remoteAddress.replace(/^::ffff:(?=\d+\.)/, "");

/** Calls back when rsync has admitted its client. */
function onAdmission(daemon: Readable, admitted: () => void): void {
  let said = "";
  const look = (chunk: Buffer) => {
    said += chunk.toString("latin1");
    const isIn = said.includes(admission);
    if (!isIn && said.length < admissionBytes) return;
    daemon.off("data", look);
    if (isIn) admitted();
  };
  daemon.on("data", look);
}

function startDaemon({ rsync, config }: TlsEndSettings, { address }: { address: string }) {
  return spawn(rsync, ["--server", "--daemon", `--config=${config}`, "."], {
    env: {
      PATH: process.env["PATH"],
      LC_ALL: "C",
      MIRRORFLEET_STARTED_BY: process.env["MIRRORFLEET_STARTED_BY"],
      // Where rsync, started so, looks for the address of its client.
      SSH_CONNECTION: `${address} 0 ${address} 0`,
    },
    stdio: ["pipe", "pipe", "ignore"],
  });
}

/**
 * Serves one connection by an rsync of its own, as sshd would: so there is no port beside this one, and
 * nobody but this process can tell rsync the address of a client.
 */
function serveConnection(
  settings: TlsEndSettings,
  {
    client,
    address,
    admitted,
    say,
  }: {
    client: Duplex;
    address: string;
    admitted: () => void;
    say: ReturnType<typeof openSparseLog>;
  },
): void {
  const refused = ({ message }: Error) => {
    say({ subject: "rsync", line: `${settings.rsync} does not start: ${message}` });
    client.destroy();
  };
  let daemon: ReturnType<typeof startDaemon>;
  try {
    daemon = startDaemon(settings, { address });
  } catch (error) {
    return refused(error as Error);
  }
  daemon.on("error", refused);
  // Without descriptors or memory there is no process, and there are no pipes.
  if (daemon.pid === undefined) return;
  onAdmission(daemon.stdout, admitted);
  client.pipe(daemon.stdin);
  daemon.stdout.pipe(client);
  // One side that breaks off ends the other; what the client still says is read, or its end would not be seen.
  daemon.stdin.on("error", () => undefined);
  daemon.once("exit", () => client.unpipe().resume());
  client.once("finish", () => {
    const cut = setTimeout(() => client.destroy(), endMilliseconds);
    client.once("close", () => clearTimeout(cut));
  });
  client.once("close", () => {
    daemon.stdin.destroy();
    const kill = setTimeout(() => daemon.kill("SIGKILL"), endMilliseconds);
    daemon.once("exit", () => clearTimeout(kill));
  });
}

/** Refuses what is no TLS, in words that rsync shows. */
function refuse(socket: Socket): void {
  socket.resume().end(refusal);
}

/** The listener: TLS, and where the settings say so plain rsync on the same port. It logs whom it has no place for. */
export function createTlsEnd(
  { log }: { log: (line: string) => void },
  settings: TlsEndSettings,
): Server {
  const { key, certificate } = JSON.parse(readFileSync(settings.keyFile, "utf8"));
  const secureContext = createSecureContext({ key, cert: certificate, minVersion, ciphers });
  const waitingRoom = openWaitingRoom();
  const say = openSparseLog({ log });
  const take = (socket: Socket, { leave }: { leave: () => void }) => {
    const tooLong = setTimeout(() => socket.destroy(), settings.admissionSeconds * 1000);
    const admitted = () => {
      clearTimeout(tooLong);
      leave();
    };
    const serve = (client: Duplex) =>
      serveConnection(settings, { client, address: addressOf(socket), admitted, say });
    socket.once("close", admitted);
    socket.once("data", (first) => {
      socket.pause();
      socket.unshift(first);
      if (first[0] !== handshakeByte) {
        if (settings.plainToo) serve(socket);
        else refuse(socket);
        return;
      }
      const client = new TLSSocket(socket, { isServer: true, secureContext });
      client.on("error", () => socket.destroy());
      // The handshake is over, and rsync has said something.
      client.once("readable", () => {
        if (client.readableLength > 0) serve(client);
        else client.destroy();
      });
    });
  };
  return createServer({ noDelay: true, keepAlive: true, keepAliveInitialDelay }, (socket) => {
    socket.on("error", () => socket.destroy());
    const network = networkOf(addressOf(socket));
    const entered = waitingRoom.enter({ network });
    if ("leave" in entered) return take(socket, entered);
    socket.destroy();
    say({
      subject: network,
      line: `closed a connection of ${network}: ${entered.why}; if these are strangers, let a firewall admit your FTP hosts alone to port ${settings.port}`,
    });
  });
}

/** Puts a master's rsync daemon behind TLS, for as long as the agent that started it lives. Ends the process. */
export function serveTls(): Promise<never> {
  const settings = JSON.parse(process.env[tlsEndVariable]!) as TlsEndSettings;
  const log = (line: string) => void process.stderr.write(`${line}\n`);
  const server = createTlsEnd({ log }, settings);
  server.on("error", ({ message }) => {
    log(message);
    process.exit(1);
  });
  server.listen({ port: settings.port, ...(settings.address && { host: settings.address }) });
  // Its end is the agent's end, however that came; the group is this process and its rsyncs.
  process.stdin.once("close", () => process.kill(-process.pid, "SIGTERM")).resume();
  return new Promise(() => undefined);
}
