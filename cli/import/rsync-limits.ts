import type { NoteTaker } from "./report.ts";
import { unknown } from "./shell-words.ts";

const factors: Record<string, number> = { "": 1, k: 1, m: 1024, g: 1024 ** 2, t: 1024 ** 3 };

/** `--bwlimit` in KiB per second, as rsync reads its suffixes; null: no limit, undefined: no such rate. */
export function kibPerSecond(rate: string): number | null | undefined {
  const [, number, unit = "", bytes = ""] = /^(\d+(?:\.\d+)?)([kmgt]?)(i?b)?$/i.exec(rate) ?? [];
  if (number === undefined) return undefined;
  const exponent = ["", "k", "m", "g", "t"].indexOf(unit.toLowerCase());
  const decimal = bytes.toLowerCase() === "b" ? (1000 / 1024) ** Math.max(1, exponent) : 1;
  const kib = Number(number) * factors[unit.toLowerCase()]! * decimal;
  return kib === 0 ? null : Math.max(1, Math.round(kib));
}

const whole = (text: string) => (/^\d+$/.test(text) ? Number(text) : null);
const known = (text: string) => text.replaceAll(unknown, "…");

/** Number of deletions that `--max-delete` allows; 0 also where that is not known. */
export function maxDeleteOf(
  { take }: { take: NoteTaker },
  value: string | undefined,
): number | undefined {
  if (value === undefined) return undefined;
  const number = whole(value);
  if (number === null)
    take.changed(`--max-delete=${known(value)}`, "is no number: nothing is deleted");
  return number ?? 0;
}

/** Limits of time and bandwidth. */
export function limitsOf(
  { take }: { take: NoteTaker },
  last: (name: string) => string | undefined,
) {
  const timeout = whole(last("timeout") ?? "") ?? 0;
  const minutes = whole(last("stop-after") ?? last("time-limit") ?? "") ?? 0;
  const rate = last("bwlimit");
  const bandwidth = rate === undefined ? null : kibPerSecond(rate);
  if (bandwidth === undefined)
    take.impossible(`--bwlimit=${known(rate!)}`, "is no rate: set rsync.bandwidthKiBps");
  return {
    bandwidthKiBps: bandwidth ?? null,
    ...(timeout > 0 && { stallSeconds: Math.min(Math.max(timeout, 10), 86_400) }),
    ...(minutes > 0 && { wallClockSeconds: Math.min(minutes * 60, 30 * 86_400) }),
  };
}
