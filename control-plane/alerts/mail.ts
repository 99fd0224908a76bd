import { isIP } from "node:net";
import { createTransport, type SendMailOptions } from "nodemailer";
import type { Message } from "../db/queries/alert-messages.ts";
import type { Target } from "./check-receiver.ts";
import { plainText, titleOf } from "./message-text.ts";

/** Seconds that a mail server may take for one step. */
const stepSeconds = 10;

const isLoopback = (host: string) =>
  host === "localhost" || host === "::1" || (isIP(host) === 4 && host.startsWith("127."));

/** A message as mail. */
function mailOf({ from, to }: Target, { message }: { message: Message }): SendMailOptions {
  return {
    from: from!,
    to,
    subject: `[mirrorfleet] ${titleOf(message)}`,
    text: `${plainText(message)}\n`,
    messageId: `<${message.id}@${from!.slice(from!.lastIndexOf("@") + 1)}>`,
    date: new Date(message.at),
    headers: { "Auto-Submitted": "auto-generated", "Mirrorfleet-Message-Id": message.id },
  };
}

/**
 * Gives a message to a mail server. A password travels encrypted or not at all, except to this machine,
 * whose own mail server's certificate is nobody's. @throws Error where the server did not take it.
 */
export async function sendMail(target: Target, { message }: { message: Message }): Promise<void> {
  const { protocol, hostname, port, username, password } = new URL(target.url);
  const host = hostname.replaceAll(/^\[|\]$/g, "");
  const secure = protocol === "smtps:";
  const transport = createTransport({
    host,
    secure,
    port: Number(port) || (secure ? 465 : username ? 587 : 25),
    ...(username && {
      auth: { user: decodeURIComponent(username), pass: decodeURIComponent(password) },
    }),
    ignoreTLS: !secure && isLoopback(host),
    requireTLS: !secure && username !== "" && !isLoopback(host),
    connectionTimeout: stepSeconds * 1000,
    greetingTimeout: stepSeconds * 1000,
    socketTimeout: stepSeconds * 1000,
    disableFileAccess: true,
    disableUrlAccess: true,
  });
  try {
    await transport.sendMail(mailOf(target, { message }));
  } finally {
    transport.close();
  }
}
