import { formatRsyncUrl, type RsyncOptions, type Source } from "../../protocol/rsync.ts";
import { ownCommand, tlsCommand } from "../self.ts";

/** Begins what the TLS client says on stderr: it tells its faults from rsync's. */
export const tlsFault = "mirrorfleet-agent tls: ";

const quoted = (text: string) => `'${text.replaceAll("'", `'\\''`)}'`;
/** Where trusted certificates are, if not in the system's place. */
const certificateVariables = ["SSL_CERT_FILE", "SSL_CERT_DIR", "NODE_EXTRA_CA_CERTS"];

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
  const certificates = certificateVariables.flatMap((name) => {
    const value = process.env[name];
    return value === undefined ? [] : [[name, value] as const];
  });
  return {
    ...Object.fromEntries(certificates),
    // rsync gives it to a shell; host and port come as variables, not as text of a command.
    RSYNC_CONNECT_PROG: `exec ${[...ownCommand(), tlsCommand].map(quoted).join(" ")}`,
    NODE_USE_SYSTEM_CA: "1",
    MIRRORFLEET_TLS_HOST: host,
    MIRRORFLEET_TLS_PORT: String(port),
    MIRRORFLEET_TLS_FAMILY: String(ipVersion ?? 0),
  };
}
