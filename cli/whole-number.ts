import { InvalidArgumentError } from "commander";

/** An option's whole number from 1 on: "many" must not become "no limit". */
export function wholeNumber(text: string): number {
  if (!/^[1-9]\d{0,9}$/.test(text))
    throw new InvalidArgumentError("must be a whole number from 1 on");
  return Number(text);
}

/** A whole number, or null for the word that stands for none. */
export const wholeNumberOr =
  (word: string) =>
  (text: string): number | null =>
    text === word ? null : wholeNumber(text);

/** What stands for null while commander parses: of null itself it would make "". */
export const nothing = Symbol("null");

/** The same for an option; `action` makes null of it. */
export const wholeNumberOptionOr =
  (word: string) =>
  (text: string): number | typeof nothing =>
    wholeNumberOr(word)(text) ?? nothing;
