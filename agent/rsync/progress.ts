import type { Progress } from "../../protocol/report.ts";

// "  1,238,099  98%  146.38kB/s    0:00:08 (xfr#5, to-chk=169/396)", from --info=progress2
const pattern =
  /^\s*([\d,.]+)\s+(\d{1,3})%\s+([\d.,]+)([kMGT]?)B\/s\s+\S+(?:\s+\(xfr#(\d+),\s+(?:ir|to)-chk=(\d+)\/(\d+)\))?\s*$/;

const units: Record<string, number> = { "": 1, k: 1e3, M: 1e6, G: 1e9, T: 1e12 };

/** Parses a line of `--info=progress2`; null for any other line. Byte counts and bytes per second. */
export function parseProgress(line: string): Progress | null {
  const match = pattern.exec(line);
  if (!match) return null;
  const [
    ,
    bytes = "0",
    percent = "0",
    rate = "0",
    unit = "",
    transferred = "0",
    left = "0",
    total = "0",
  ] = match;
  const number = {
    bytes: Number(bytes.replaceAll(/[,.]/g, "")),
    percent: Math.min(100, Number(percent)),
    bytesPerSecond: Math.round(Number(rate.replaceAll(",", "")) * units[unit]!),
    filesTransferred: Number(transferred),
    filesChecked: Math.max(0, Number(total) - Number(left)),
    filesTotal: Number(total),
  };
  return Object.values(number).every(Number.isSafeInteger) ? number : null;
}
