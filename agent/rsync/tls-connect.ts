import { createHash } from "node:crypto";
import { connect as connectPlain, isIP } from "node:net";
import { connect, type ConnectionOptions, getCACertificates, type TLSSocket } from "node:tls";

const connectSeconds = 60;

export const minVersion = "TLSv1.3";
/** AES with 128 bits first: of the three that TLS 1.3 has it costs least. */
export const ciphers = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";

export type TlsTarget = {
  host: string;
  port: number;
  /** Version of IP; 0: either. */
  family: number;
  /** SHA-256 of the one public key (SPKI, hex) that is taken; null: a certificate for `host` that an authority vouches for. */
  keySha256: string | null;
};

/** The named key replaces all authorities, names and dates: whoever signed the order vouches for it. */
const trustOf = ({ host, keySha256 }: TlsTarget): ConnectionOptions =>
  keySha256 === null
    ? {
        ca: [...getCACertificates("default"), ...getCACertificates("system")],
        ...(isIP(host) === 0 && { servername: host }),
      }
    : { rejectUnauthorized: false, ca: [], minVersion, ciphers };

/** Why the other end is not the one that is meant; null: it is. */
function strangerOf(socket: TLSSocket, { keySha256 }: TlsTarget): string | null {
  if (keySha256 === null) return null;
  const key = socket.getPeerX509Certificate()?.publicKey.export({ type: "spki", format: "der" });
  const shown = key && createHash("sha256").update(key).digest("hex");
  return shown === keySha256
    ? null
    : `it shows the key ${shown}, and the control plane named ${keySha256}: the master has joined anew and the control plane has not heard of that yet, or somebody else answers in its place; "mirrorfleet-agent check" on the master says its key`;
}

const explained = (error: NodeJS.ErrnoException): string => {
  const { message, code } = error;
  // Of a name with several addresses each has its own fault.
  if (error instanceof AggregateError)
    return error.errors.map((each: Error) => each.message).join("; ");
  return code === "ERR_SSL_WRONG_VERSION_NUMBER" || code === "ERR_SSL_PACKET_LENGTH_TOO_LONG"
    ? `it does not speak TLS (${code}): a master serves plain rsync where MIRRORFLEET_DAEMON_TLS=no is set, which the control plane hears of at its next poll`
    : message;
};

/** Connects, and checks whose the other end is before anything is sent. @throws Error that says why not. */
export function openTls(target: TlsTarget, timeoutSeconds = connectSeconds): Promise<TLSSocket> {
  const { host, port, family } = target;
  const plain = connectPlain({
    host,
    port,
    family,
    noDelay: true,
    // Node gives an address up after a quarter of a second, where there is another one.
    autoSelectFamilyAttemptTimeout: 10_000,
  });
  const socket = connect({ socket: plain, host, ...trustOf(target) });
  return new Promise((resolve, reject) => {
    const fail = (message: string) => {
      clearTimeout(tooLong);
      socket.destroy();
      plain.destroy();
      reject(new Error(message));
    };
    const tooLong = setTimeout(
      () => fail(`no connection within ${timeoutSeconds} seconds`),
      timeoutSeconds * 1000,
    );
    for (const each of [plain, socket]) each.once("error", (error) => fail(explained(error)));
    // After the error that it came of, if there was one.
    socket.once("close", () => setImmediate(fail, "the other end closed the connection"));
    socket.once("secureConnect", () => {
      const stranger = strangerOf(socket, target);
      if (stranger !== null) return fail(stranger);
      clearTimeout(tooLong);
      resolve(socket);
    });
  });
}
