import { clockToleranceSeconds } from "../../protocol/order.ts";
import type { Config } from "../config.ts";
import { readIdentity } from "../identity.ts";
import { fail, type Finding, ok } from "./outcome.ts";

type Asked = { url: string; response: Response; seconds: number; at: number };

/** Asks the control plane whether it is there, once for all that wants to know of it. @throws AppError with the cure. */
export async function askControlPlane(config: Config): Promise<Asked> {
  const url = config.controlPlane ?? (await readIdentity(config)).controlPlane;
  const began = performance.now();
  const response = await fetch(`${url}/healthz`, { signal: AbortSignal.timeout(10_000) }).catch(
    (cause: Error) => {
      const why = (cause.cause as (Error & { code?: string }) | undefined) ?? cause;
      const isTls = /CERT|SELF_SIGNED|ISSUER/.test((why as { code?: string }).code ?? "");
      const cure = isTls
        ? ": install its certificate authority (ca-certificates), or name it in NODE_EXTRA_CA_CERTS"
        : ": does a firewall let this host out, and is the name right?";
      throw fail(`cannot reach ${url}: ${why.message}${cure}`);
    },
  );
  return { url, response, seconds: (performance.now() - began) / 1000, at: Date.now() };
}

/** Is it a control plane that answers? @throws AppError. */
export function checkControlPlane({ url, response }: Asked): Finding {
  if (!response.ok)
    throw fail(`${url}/healthz answered ${response.status}: is that a control plane's address?`);
  return ok(`${url} is reached`);
}

/** Do the clocks agree? Its answer says the time to the second. @throws AppError. */
export function checkClock({ response, seconds, at }: Asked): Finding {
  const theirs = Date.parse(response.headers.get("date") ?? "");
  if (Number.isNaN(theirs)) throw fail("the control plane does not say what time it is");
  const skew = Math.max(0, Math.abs(theirs - at) / 1000 - seconds - 1);
  if (skew > clockToleranceSeconds)
    throw fail(
      `differs from the control plane's by ${Math.round(skew)} seconds: set it by NTP (timedatectl set-ntp true)`,
    );
  return ok(
    skew === 0
      ? "within a second of the control plane's"
      : `${Math.ceil(skew)} seconds off the control plane's, of which ${clockToleranceSeconds} may be`,
  );
}
