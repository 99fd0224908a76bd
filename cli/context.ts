import { existsSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import type { Command } from "commander";
import { z } from "zod";
import { type Client, createClient } from "../protocol/client.ts";
import { AppError, parse } from "../protocol/errors.ts";
import { nothing } from "./whole-number.ts";

/** What each command gets first. */
export type CliCtx = {
  client: Client;
  url: string;
  json: boolean;
  /** Prints a value: as JSON where asked for, else what `text` makes of it. */
  print: <Value>(value: Value, text: (value: Value) => string) => void;
};

const credentialsSchema = z.object({ url: z.string(), token: z.string() });

/** Where `login` keeps address and token. */
export const credentialsFile = () =>
  join(
    process.env["XDG_CONFIG_HOME"] ?? join(homedir(), ".config"),
    "mirrorfleet",
    "credentials.json",
  );

function stored(): { url?: string; token?: string } {
  const file = credentialsFile();
  if (!existsSync(file)) return {};
  try {
    return parse(credentialsSchema, JSON.parse(readFileSync(file, "utf8")), file);
  } catch (cause) {
    throw new AppError("invalid-input", `cannot read ${file}: run "mirrorfleet login" again`, {
      cause,
    });
  }
}

/** Makes a command's context of its options, the environment and what `login` stored. @throws AppError with the cure. */
function contextOf(command: Command): CliCtx {
  const { json = false, url: flag } = command.optsWithGlobals<{ json?: boolean; url?: string }>();
  const kept = stored();
  const url = (flag ?? process.env["MIRRORFLEET_URL"] ?? kept.url)?.replace(/\/+$/, "");
  const token = process.env["MIRRORFLEET_TOKEN"] ?? (url === kept.url ? kept.token : undefined);
  if (url === undefined)
    throw new AppError(
      "not-authenticated",
      'no control plane is known: run "mirrorfleet login URL", or set MIRRORFLEET_URL and MIRRORFLEET_TOKEN',
    );
  if (token === undefined)
    throw new AppError(
      "not-authenticated",
      `no token for ${url}: run "mirrorfleet login ${url}", or set MIRRORFLEET_TOKEN`,
    );
  const print: CliCtx["print"] = (value, text) =>
    process.stdout.write(`${json ? JSON.stringify(value, null, 2) : text(value)}\n`);
  return { client: createClient({ url, token }), url, json, print };
}

/** Wraps an action: its context first, then the command's arguments and options. */
export const action =
  <Options>(
    run: (ctx: CliCtx, input: { args: string[]; options: Options }) => Promise<void>,
  ): ((...given: unknown[]) => Promise<void>) =>
  async (...given) => {
    const command = given.at(-1) as Command;
    const options = Object.fromEntries(
      Object.entries(command.opts()).map(([name, value]) => [
        name,
        value === nothing ? null : (value as unknown),
      ]),
    ) as Options;
    await run(contextOf(command), { args: command.args, options });
  };
