import type { Command } from "commander";
import { AppError } from "../../protocol/errors.ts";
import type { OperatorToken } from "../../protocol/token.ts";
import { action } from "../context.ts";
import { ago, table, time } from "../format.ts";

const tokenTable = (tokens: OperatorToken[]) =>
  table(
    ["ID", "NAME", "SCOPE", "MADE", "USED", "EXPIRES", "STATE"],
    tokens.map((token) => [
      token.id,
      token.name,
      token.scope,
      time(token.createdAt),
      ago(token.lastUsedAt),
      time(token.expiresAt),
      token.revokedAt ? "revoked" : "",
    ]),
  );

/** "30d" from now, or a time; null for none. */
function expiry(text: string | undefined): string | null {
  if (text === undefined) return null;
  const days = /^(\d{1,5})d$/.exec(text)?.[1];
  if (days !== undefined) return new Date(Date.now() + Number(days) * 86_400_000).toISOString();
  if (Number.isNaN(Date.parse(text)))
    throw new AppError("invalid-input", `--expires "${text}" must be days ("30d") or a time`);
  return new Date(text).toISOString();
}

/** `token`. */
export function addToken(program: Command): void {
  const token = program.command("token").description("operator tokens: who may do what");
  token
    .command("create")
    .description("make a token and print it, this once")
    .argument("<name>", "whose it is, or what for")
    .requiredOption("--scope <scope>", "viewer, operator, admin or trigger:PROJECT")
    .option("--expires <when>", 'for example "30d"; default: never')
    .action(
      action<{ scope: string; expires?: string }>(
        async ({ client, print }, { args: [name], options: { scope, expires } }) =>
          print(
            await client.createToken({
              name: name!,
              scope: scope as "viewer",
              expiresAt: expiry(expires),
            }),
            (created) => created.token,
          ),
      ),
    );
  token
    .command("list")
    .description("list tokens; what makes them work cannot be read")
    .action(action(async ({ client, print }) => print(await client.listTokens(), tokenTable)));
  token
    .command("revoke")
    .description("end a token's authority at once")
    .argument("<id>")
    .action(
      action(async ({ client, print }, { args: [id] }) =>
        print(await client.revokeToken(id!), (revoked) => tokenTable([revoked])),
      ),
    );
}
