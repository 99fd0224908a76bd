import type { Message } from "../db/queries/alert-messages.ts";
import type { Target } from "./check-receiver.ts";
import { httpRequest } from "./http-request.ts";
import { sendMail } from "./mail.ts";

/** Well below the time for which a message is claimed. */
const sendSeconds = 20;
const longestReason = 300;

async function sendHttp(
  target: Target,
  { message, signal }: { message: Message; signal: AbortSignal },
): Promise<void> {
  const seconds = Math.floor(Date.now() / 1000);
  const { url, ...request } = httpRequest(target, { message, seconds });
  const response = await fetch(url, { ...request, redirect: "manual", signal });
  await response.body?.cancel();
  if (response.status >= 300 && response.status < 400)
    throw new Error(`answered ${response.status}: redirects are not followed`);
  if (!response.ok) throw new Error(`answered ${response.status}`);
}

/** Settles when the signal does, whatever the work is waiting for. */
async function until(signal: AbortSignal, work: Promise<void>): Promise<void> {
  const { promise, reject } = Promise.withResolvers<never>();
  const abort = () => reject(signal.reason as Error);
  signal.addEventListener("abort", abort);
  if (signal.aborted) abort();
  try {
    await Promise.race([work, promise]);
  } finally {
    signal.removeEventListener("abort", abort);
  }
}

/** Why it was not sent, in one line without what a terminal would obey. */
function reasonOf(error: unknown): string {
  const { name, message, cause } = error as Error;
  const said =
    name === "TimeoutError"
      ? `no answer within ${sendSeconds} seconds`
      : name === "AbortError"
        ? "the control plane was stopped meanwhile"
        : // Of several addresses that were tried, the whole has no words of its own.
          (cause as AggregateError | undefined)?.errors?.[0]?.message ||
          (cause as Error | undefined)?.message ||
          message;
  return String(said)
    .replaceAll(/[\p{Cc}\p{Cf}]+/gu, " ")
    .toWellFormed()
    .slice(0, longestReason);
}

/** Sends a message. Answers why it did not arrive; null where it did. */
export async function sendMessage(
  target: Target,
  { message, signal }: { message: Message; signal: AbortSignal },
): Promise<string | null> {
  const limit = AbortSignal.any([signal, AbortSignal.timeout(sendSeconds * 1000)]);
  try {
    await (target.kind === "email"
      ? until(limit, sendMail(target, { message }))
      : sendHttp(target, { message, signal: limit }));
    return null;
  } catch (error) {
    return reasonOf(error);
  }
}
