import { stringify } from "yaml";

/** A value as YAML, for people to read and edit. */
export const toYaml = (value: unknown) => stringify(value, { lineWidth: 0 });
