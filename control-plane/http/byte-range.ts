import { AppError } from "../../protocol/errors.ts";

/** From a byte on, to before another. */
export type ByteRange = { from: number; to: number };

/**
 * The part of something `length` bytes long that a `Range` header asks for (RFC 9110 §14); null where the
 * whole is to be answered: it asks for none, for several, or not for bytes. @throws AppError `range-not-satisfiable`.
 */
export function byteRange(
  header: string | undefined,
  { length }: { length: number },
): ByteRange | null {
  const [, first = "", last = ""] = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(header ?? "") ?? [];
  if (first === "" && last === "") return null;
  if (first !== "" && last !== "" && Number(last) < Number(first)) return null;
  const range =
    first === ""
      ? { from: Math.max(0, length - Number(last)), to: length }
      : { from: Number(first), to: last === "" ? length : Math.min(length, Number(last) + 1) };
  if (range.from < range.to) return range;
  throw new AppError("range-not-satisfiable", `there are ${length} bytes so far`);
}
