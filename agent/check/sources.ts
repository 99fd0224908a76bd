import { connect as connectPlain, isIP } from "node:net";
import { connect as connectTls } from "node:tls";
import type { Role } from "../../protocol/host.ts";
import type { SourceRule } from "../policy.ts";
import { fail, type Finding, ok, warn } from "./outcome.ts";

const patienceMilliseconds = 10_000;
/** Places that are tried: an upstream for each of a hundred projects would all be asked at once. */
const most = 20;

type Place = Exclude<SourceRule, "any">;

const textOf = ({ host, port, tls }: Place) =>
  `rsync${tls ? "s" : ""}://${isIP(host) === 6 ? `[${host}]` : host}:${port}`;

/**
 * Why no rsync daemon answers there; null where one does. A master shows a certificate that no authority
 * vouches for: its key is compared elsewhere.
 */
function whyUnreachable(
  { host, port, tls }: Place,
  { isMasters }: { isMasters: boolean },
): Promise<string | null> {
  return new Promise((resolve) => {
    const name = isIP(host) === 0 && { servername: host };
    // A master with TLS says nothing before it has heard something.
    const greet = () => void socket.write("@RSYNCD: 31.0\n");
    const socket = tls
      ? connectTls({ host, port, rejectUnauthorized: !isMasters, ...name }, greet)
      : connectPlain({ host, port }, greet);
    const end = (why: string | null) => {
      socket.destroy();
      resolve(why);
    };
    socket.setTimeout(patienceMilliseconds, () => end("no answer within 10 seconds"));
    socket.on("error", ({ message }) => end(message));
    socket.on("close", () => end("the connection was closed without a word"));
    socket.once("data", (bytes: Buffer) =>
      end(bytes.toString("latin1").startsWith("@RSYNCD:") ? null : "no rsync daemon answers there"),
    );
  });
}

/**
 * Does a daemon answer at each place that this host may pull from? Of an FTP host that is the master, without
 * which it is of no use; an upstream of a master's may be away for a while. @throws AppError.
 */
export async function checkSources({
  rules,
  roles,
}: {
  rules: SourceRule[];
  roles: Role[];
}): Promise<Finding> {
  if (rules.length === 0)
    throw fail("MIRRORFLEET_SOURCES is empty: name the places that this host may pull from");
  const places = new Map<string, Place>();
  for (const rule of rules) if (rule !== "any") places.set(textOf(rule), rule);
  if (places.size === 0) return ok("any place is allowed, so none was tried");
  const isMasters = !roles.includes("master");
  const tried = [...places].slice(0, most);
  const found = await Promise.all(
    tried.map(async ([text, place]) => ({ text, why: await whyUnreachable(place, { isMasters }) })),
  );
  const missed = found.filter(({ why }) => why !== null);
  if (missed.length === 0) return ok(`${tried.map(([text]) => text).join(", ")} reached`);
  const said = missed.map(({ text, why }) => `${text} is not reached: ${why}`).join("; ");
  if (roles.includes("master")) return warn(said);
  throw fail(
    `${said}: has the master joined and does its agent run, does it admit this host's address, does a firewall let it through?`,
  );
}
