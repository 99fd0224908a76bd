import { formatRsyncUrl, type RsyncOptions, type Source } from "../../protocol/rsync.ts";
import { ownCommand, tlsCommand } from "../self.ts";

export { tlsFault } from "./tls-connect.ts";

const quoted = (text: string) => `'${text.replaceAll("'", `'\\''`)}'`;
/** Where trusted certificates are, if not in the system's place. */
const certificateVariables = ["SSL_CERT_FILE", "SSL_CERT_DIR", "NODE_EXTRA_CA_CERTS"];

/** Environment in which the TLS client asks the system's authorities. */
function authorities(): Record<string, string> {
  const certificates = certificateVariables.flatMap((name) => {
    const value = process.env[name];
    return value === undefined ? [] : [[name, value] as const];
  });
  return { ...Object.fromEntries(certificates), NODE_USE_SYSTEM_CA: "1" };
}

/**
 * What rsync gives to a shell; host and port come as variables, not as text of a command. The client ends when
 * rsync has ended, and is then a zombie until init has noticed, for seconds in some containers: neither rsync's
 * process group nor a process of rsync that waits for the shell is to wait for that.
 */
function connectProgram(command: string[]): string {
  const client = command.map(quoted).join(" ");
  // A shell takes standard input away from what it puts into the background.
  return `exec 3<&0; $(command -v setsid) ${client} <&3 3<&- &`;
}

/** How an rsync reaches its source. */
export type Connection = { source: Source; ipVersion: RsyncOptions["ipVersion"] };

/** The connection of a pull. */
export const connectionOf = ({
  source,
  options,
}: {
  source: Source;
  options: RsyncOptions;
}): Connection => ({ source, ipVersion: options.ipVersion });

/** Arguments that hold rsync to a version of IP. */
export const versionArgs = ({ ipVersion }: Pick<RsyncOptions, "ipVersion">): string[] =>
  ipVersion === null ? [] : [`--ipv${ipVersion}`];

/** The source as rsync's operand. It knows no TLS: the program in its environment makes the connection. */
export function operandOf(source: Source): string {
  const { tls: _tls, ...plain } = source;
  return formatRsyncUrl(plain);
}

/** Environment in which rsync reaches a source behind TLS; empty for others. */
export function connectionEnv({ source, ipVersion }: Connection): Record<string, string> {
  const { host, port, tls } = source;
  if (!tls) return {};
  return {
    ...(tls === true ? authorities() : { MIRRORFLEET_TLS_KEY_SHA256: tls.keySha256 }),
    RSYNC_CONNECT_PROG: connectProgram([...ownCommand(), tlsCommand]),
    MIRRORFLEET_TLS_HOST: host,
    MIRRORFLEET_TLS_PORT: String(port),
    MIRRORFLEET_TLS_FAMILY: String(ipVersion ?? 0),
  };
}
