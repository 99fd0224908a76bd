import { formatRsyncUrl, type RsyncOptions, type Source } from "../../protocol/rsync.ts";
import { openTlsProxy } from "./tls-proxy.ts";

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

/** Arguments by which rsync makes its connection. The proxy in front of a source behind TLS sees to the version of IP. */
export const connectionArgs = ({ source, ipVersion }: Connection): string[] => [
  // rsync speaks in small turns: with Nagle's algorithm a sync of one file takes 113 ms on loopback, not 12.
  "--sockopts=TCP_NODELAY",
  ...(source.tls || ipVersion === null ? [] : [`--ipv${ipVersion}`]),
];

/** The source as rsync's operand. It knows no TLS: the proxy in its environment makes the connection. */
export function operandOf(source: Source): string {
  const { tls: _tls, ...plain } = source;
  return formatRsyncUrl(plain);
}

/** Makes what rsync needs beside its arguments to reach its source. `onFault` hears why a connection through TLS is none. */
export async function openConnection(
  { source: { host, port, tls }, ipVersion }: Connection,
  { onFault }: { onFault: (line: string) => void },
): Promise<{ env: Record<string, string>; close: () => void }> {
  if (!tls) return { env: {}, close: () => undefined };
  const keySha256 = tls === true ? null : tls.keySha256;
  return openTlsProxy({ host, port, family: ipVersion ?? 0, keySha256 }, { onFault });
}
