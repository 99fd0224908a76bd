import { parse, stringify, YAMLError } from "yaml";
import { AppError } from "../protocol/errors.ts";

/** A value as YAML, for people to read and edit. */
export const toYaml = (value: unknown) => stringify(value, { lineWidth: 0 });

/** What a person wrote as YAML. `what` names it. @throws AppError `invalid-input`. */
export function fromYaml(text: string, what: string): any {
  try {
    return parse(text);
  } catch (cause) {
    if (!(cause instanceof YAMLError)) throw cause;
    const why = cause.message.split("\n")[0];
    throw new AppError("invalid-input", `${what} is not YAML: ${why}`, { cause });
  }
}
