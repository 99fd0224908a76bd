import { createHmac } from "node:crypto";
import type { Message } from "../db/queries/alert-messages.ts";
import { signingKey, type Target } from "./check-receiver.ts";
import { chatText, plainText } from "./message-text.ts";

type HttpRequest = {
  method: "POST" | "PUT";
  url: string;
  headers: Record<string, string>;
  body: string;
};

/** Signed by the scheme of standardwebhooks.com. */
function webhook({ url, secret }: Target, message: Message, { seconds }: { seconds: number }) {
  const { id, kind, at, alerts, total } = message;
  const body = JSON.stringify({ type: `alert.${kind}`, timestamp: at, data: { total, alerts } });
  const signature = createHmac("sha256", signingKey(secret!))
    .update(`${id}.${seconds}.${body}`)
    .digest("base64");
  return {
    method: "POST" as const,
    url,
    body,
    headers: {
      "webhook-id": id,
      "webhook-timestamp": String(seconds),
      "webhook-signature": `v1,${signature}`,
    },
  };
}

const chat = ({ url }: Target, message: Message) => ({
  method: "POST" as const,
  url,
  body: JSON.stringify({ text: chatText(message) }),
  headers: {},
});

/** The message's id is the transaction's: sent again, it is not shown again. */
function matrix({ url, secret, room }: Target, message: Message) {
  const base = url.replace(/\/+$/, "");
  const path = `/_matrix/client/v3/rooms/${encodeURIComponent(room!)}/send/m.room.message/${message.id}`;
  // Without "m.mentions" a "@room" in the text would call everybody.
  const content = { msgtype: "m.notice", body: plainText(message), "m.mentions": {} };
  return {
    method: "PUT" as const,
    url: `${base}${path}`,
    body: JSON.stringify(content),
    headers: { authorization: `Bearer ${secret}` },
  };
}

/** The request that tells a receiver of a message; `seconds`: the time at which it is sent. */
export function httpRequest(
  target: Target,
  { message, seconds }: { message: Message; seconds: number },
): HttpRequest {
  const { headers, ...request } =
    target.kind === "webhook"
      ? webhook(target, message, { seconds })
      : target.kind === "matrix"
        ? matrix(target, message)
        : chat(target, message);
  return {
    ...request,
    headers: {
      "content-type": "application/json",
      "user-agent": "mirrorfleet",
      "mirrorfleet-message-id": message.id,
      ...headers,
    },
  };
}
