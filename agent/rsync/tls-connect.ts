import { connect as connectPlain, isIP } from "node:net";
import { connect } from "node:tls";
import { tlsFault } from "./connection.ts";

const connectTimeoutMilliseconds = 60_000;

/**
 * rsync's connection to a daemon behind TLS: started by rsync itself as RSYNC_CONNECT_PROG, with the
 * connection to it as standard input and output. Ends the process: with 1, and why on stderr, where it fails.
 */
export function connectTls(): Promise<never> {
  const host = process.env["MIRRORFLEET_TLS_HOST"]!;
  const port = Number(process.env["MIRRORFLEET_TLS_PORT"]);
  const fail = (message: string): never => {
    process.stderr.write(`${tlsFault}${host}:${port}: ${message}\n`);
    process.exit(1);
  };
  const family = Number(process.env["MIRRORFLEET_TLS_FAMILY"]);
  const plain = connectPlain({ host, port, family, noDelay: true });
  const socket = connect({ socket: plain, host, ...(isIP(host) === 0 && { servername: host }) });
  const tooLong = setTimeout(
    () => fail("no connection within a minute"),
    connectTimeoutMilliseconds,
  );
  socket.once("secureConnect", () => {
    clearTimeout(tooLong);
    process.stdin.pipe(socket).pipe(process.stdout);
  });
  for (const each of [plain, socket]) each.once("error", ({ message }) => fail(message));
  // The transfer has ended when rsync has gone.
  process.stdout.on("error", () => process.exit());
  return new Promise(() => socket.once("close", () => process.exit()));
}
