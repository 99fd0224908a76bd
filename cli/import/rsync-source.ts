import { AppError } from "../../protocol/errors.ts";
import { formatRsyncUrl, parseRsyncUrl } from "../../protocol/rsync.ts";

const daemonForm = /^(?:([^@/]*)@)?(\[[^\]]+\]|[^:/@[\]]+)::([^/].*)$/;
const urlForm = /^(rsyncs?):\/\/(?:([^@/]*)@)?(.*)$/;

/** A source as a URL of mirrorfleet's; `top`: the directory that comes itself, and not what is in it alone. */
type RsyncSource = { url: string; user: string | null; top: string | null };

/** Where an operand pulls from; a sentence where mirrorfleet cannot pull from there. */
export function sourceOf(
  operand: string,
  { port, tls }: { port: string | undefined; tls: boolean },
): RsyncSource | string {
  const [, scheme, urlUser, rest] = urlForm.exec(operand) ?? [];
  const [, user = urlUser, host, path] = daemonForm.exec(operand) ?? [];
  if (rest === undefined && host === undefined)
    return operand.includes(":")
      ? "it pulls by ssh: ask its owner for an rsync daemon, or let its people upload to the master (a project without upstream)"
      : "it does not pull from another host";
  const secure = tls || scheme === "rsyncs";
  const place = rest ?? `${host}${port === undefined ? "" : `:${port}`}/${path}`;
  const withPort =
    rest !== undefined && port !== undefined && !/^(\[[^\]]*\]|[^/:]*):\d/.test(rest)
      ? place.replace(/^(\[[^\]]*\]|[^/]*)/, `$1:${port}`)
      : place;
  try {
    const source = parseRsyncUrl(`${secure ? "rsyncs" : "rsync"}://${withPort}`);
    const top = operand.endsWith("/") ? null : (source.path?.split("/").at(-1) ?? null);
    return { url: formatRsyncUrl(source), user: user?.split(":")[0] || null, top };
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    return `mirrorfleet cannot pull from there: ${error.message}`;
  }
}
