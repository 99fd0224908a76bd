import { mkdir, rm, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import type { Command } from "commander";
import { createClient } from "../../protocol/client.ts";
import { AppError } from "../../protocol/errors.ts";
import { credentialsFile } from "../context.ts";
import { readSecret } from "../read-secret.ts";

const readToken = async () =>
  process.env["MIRRORFLEET_TOKEN"]?.trim() ?? (await readSecret("Operator token: "));

/** What whoever logs in can do about a token that is not taken. */
const explained = (error: unknown) =>
  error instanceof AppError && error.code === "not-authenticated"
    ? new AppError(
        "not-authenticated",
        'the token is unknown, revoked or expired, or was not copied whole (it begins with "mfo_"); the first one is in the file admin-token of the control plane\'s data directory',
        { cause: error },
      )
    : error;

function checkedUrl(text: string): string {
  const url = URL.parse(text);
  if (!url || !/^https?:$/.test(url.protocol))
    throw new AppError(
      "invalid-input",
      `"${text}" is no address that begins with http:// or https://: for example https://mirror-control.example.org`,
    );
  return text.replace(/\/+$/, "");
}

/** `login` and `logout`. */
export function addLogin(program: Command): void {
  program
    .command("login")
    .description("keep address and operator token for later commands (in a 0600 file)")
    .argument("<url>", "address of the control plane")
    .addHelpText("after", "\nThe token is asked for, or read from standard input.")
    .action(async (text: string) => {
      const url = checkedUrl(text);
      const token = await readToken();
      // A token that does not work is not kept.
      const status = await createClient({ url, token })
        .getStatus()
        .catch((error: unknown) => {
          throw explained(error);
        });
      const file = credentialsFile();
      await mkdir(dirname(file), { recursive: true, mode: 0o700 });
      await rm(file, { force: true });
      await writeFile(file, `${JSON.stringify({ url, token })}\n`, { mode: 0o600, flag: "wx" });
      process.stdout.write(
        `logged in to ${url}: ${status.projects.all} projects, ${status.hosts.enrolled} hosts\n`,
      );
    });
  program
    .command("logout")
    .description("forget the stored token")
    .action(async () => {
      await rm(credentialsFile(), { force: true });
    });
}
