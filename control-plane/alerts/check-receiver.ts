import type { ReceiverKind } from "../../protocol/alert.ts";
import { AppError } from "../../protocol/errors.ts";
import { blockedPorts } from "./blocked-ports.ts";

/** What depends on a receiver's kind. */
export type Target = {
  kind: ReceiverKind;
  url: string;
  secret: string | null;
  room: string | null;
  from: string | null;
  to: string[];
};

const invalid = (field: string, message: string) =>
  new AppError("invalid-input", `${field} ${message}`, { fields: [{ field, message }] });

/** Key of a webhook's signatures. @throws AppError `invalid-input`. */
export function signingKey(secret: string): Buffer {
  const [, base64] = /^whsec_([A-Za-z0-9+/]{32,90}={0,2})$/.exec(secret) ?? [];
  const key = Buffer.from(base64 ?? "", "base64");
  if (key.length < 24 || key.length > 64)
    throw invalid(
      "secret",
      'must be "whsec_" and the base64 of 24 to 64 random bytes: make one with openssl rand -base64 32',
    );
  return key;
}

const example: Record<ReceiverKind, string> = {
  webhook: "https://alerts.example.org/mirrorfleet",
  slack: "https://hooks.slack.com/services/…",
  mattermost: "https://mattermost.example.org/hooks/…",
  matrix: "https://matrix.example.org",
  email: "smtp://localhost:25",
};

function isEncoded(text: string): boolean {
  try {
    decodeURIComponent(text);
    return true;
  } catch {
    return false;
  }
}

function checkUrl({ kind, url: text }: Target): URL {
  const wrong = (what: string) => invalid("url", `${what}: for example "${example[kind]}"`);
  const url = URL.parse(text);
  const protocols = kind === "email" ? ["smtp:", "smtps:"] : ["http:", "https:"];
  if (!url || !protocols.includes(url.protocol) || url.hostname === "")
    throw wrong(`must be a URL that begins with ${protocols.join("// or ")}//`);
  if (url.hash !== "") throw wrong('must not hold "#"');
  if (kind === "email") {
    if (!["", "/"].includes(url.pathname) || url.search !== "")
      throw wrong("must name a host and a port, and no path");
    for (const part of [url.username, url.password])
      if (!isEncoded(part)) throw wrong('must have "%" in user and password as "%25"');
    return url;
  }
  if (blockedPorts.has(Number(url.port)))
    throw wrong(
      `must not name port ${url.port}: no request is ever sent there, as other protocols have it; let the receiver listen on another`,
    );
  if (url.username !== "" || url.password !== "") throw wrong("must not hold user or password");
  if (kind === "matrix" && url.search !== "") throw wrong('must not hold "?"');
  return url;
}

function checkBelongs({ kind, secret, room, from, to }: Target): void {
  const needed = (field: string, given: boolean, of: ReceiverKind[]) => {
    const needs = of.includes(kind);
    if (needs && !given) throw invalid(field, `is missing: ${kind} needs it`);
    if (!needs && given) throw invalid(field, `must not be given: ${kind} has none`);
  };
  needed("secret", secret !== null, ["webhook", "matrix"]);
  needed("room", room !== null, ["matrix"]);
  needed("from", from !== null, ["email"]);
  needed("to", to.length > 0, ["email"]);
  if (kind === "webhook" && secret !== null) signingKey(secret);
}

/**
 * Checks what a schema cannot: that the URL is one of its kind, that all is there that the kind needs and
 * nothing else. Answers what may be shown of the URL. @throws AppError `invalid-input` that names the field.
 */
export function checkReceiver(target: Target): { address: string } {
  const { protocol, host } = checkUrl(target);
  checkBelongs(target);
  return { address: `${protocol}//${host}` };
}
