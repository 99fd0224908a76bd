import { z } from "zod";
import { statusByCode } from "../protocol/errors.ts";
import { errorsOf } from "../control-plane/http/openapi.ts";
import type { Operation } from "../control-plane/http/operation.ts";
import { operations } from "../control-plane/http/operations.ts";

type Property = {
  type?: string | string[];
  enum?: unknown[];
  const?: unknown;
  anyOf?: Property[];
  oneOf?: Property[];
  items?: Property;
  default?: unknown;
  description?: string;
};

function typeOf({ type, enum: values, const: only, anyOf, oneOf, items }: Property): string {
  if (values) return values.map((value) => JSON.stringify(value)).join(" or ");
  if (only !== undefined) return JSON.stringify(only);
  const some = anyOf ?? oneOf;
  if (some) return [...new Set(some.map(typeOf))].join(" or ");
  if (type === "array" && items) return `list of ${typeOf(items)}`;
  return Array.isArray(type) ? type.join(" or ") : (type ?? "any");
}

const cell = (text: string) => text.replaceAll("|", "\\|").replaceAll("\n", " ");

/** A table of a schema's fields; empty where it has none that are known beforehand. */
function fields(title: string, schema: z.ZodType | undefined): string[] {
  if (!schema) return [];
  const { properties = {}, required = [] } = z.toJSONSchema(schema, {
    io: "input",
    unrepresentable: "any",
  }) as { properties?: Record<string, Property>; required?: string[] };
  const rows = Object.entries(properties).map(([name, property]) => {
    const fallback = required.includes(name)
      ? "required"
      : property.default === undefined
        ? ""
        : `\`${JSON.stringify(property.default)}\``;
    return `| \`${name}\` | ${cell(typeOf(property))} | ${cell(fallback)} | ${cell(property.description ?? "")} |`;
  });
  if (rows.length === 0) return [];
  return ["", `| ${title} | type | default | |`, "| --- | --- | --- | --- |", ...rows];
}

function section(operation: Operation): string {
  const { id, method, path, summary, access, params, query, body, example } = operation.declaration;
  const errors = errorsOf(operation)
    .map((code) => `${statusByCode[code]} ${code}`)
    .join(", ");
  return [
    `### ${id}`,
    "",
    `\`${method} ${path}\``,
    "",
    `${summary}. Access: ${access}.`,
    ...fields("path", params),
    ...fields("query", query),
    ...fields("body", body),
    ...(example === undefined ? [] : ["", "```json", JSON.stringify(example, null, 2), "```"]),
    "",
    `Errors: ${errors}.`,
    "",
  ].join("\n");
}

/** `docs/api.md`, made of the operations' declarations. */
export function apiPage(): string {
  const byTag = Map.groupBy(operations, ({ declaration }) => declaration.tag);
  const tags = [...byTag].map(([tag, some]) => `## ${tag}\n\n${some.map(section).join("\n")}`);
  return `# REST interface

Made from the code by \`npm run docs\`; the control plane serves the same as OpenAPI 3.1 at
\`/openapi.json\` and as a page to try it at \`/docs\`. Access is the scope that an operator token needs:
viewer, operator or admin; \`trigger\` also takes a token for that one project. Errors are problem
documents (RFC 9457).

${tags.join("\n")}`.replaceAll(/\n{3,}/g, "\n\n");
}
