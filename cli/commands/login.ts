import { mkdir, rm, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { text as readStream } from "node:stream/consumers";
import { createInterface } from "node:readline/promises";
import { Writable } from "node:stream";
import type { Command } from "commander";
import { createClient } from "../../protocol/client.ts";
import { AppError } from "../../protocol/errors.ts";
import { credentialsFile } from "../context.ts";

/** Asks for a line that is not shown while it is typed. */
async function askHidden(question: string): Promise<string> {
  process.stderr.write(question);
  const silent = new Writable({ write: (_chunk, _encoding, done) => done() });
  const lines = createInterface({ input: process.stdin, output: silent, terminal: true });
  try {
    return await lines.question("");
  } finally {
    lines.close();
    process.stderr.write("\n");
  }
}

async function readToken(): Promise<string> {
  const token =
    process.env["MIRRORFLEET_TOKEN"] ??
    (process.stdin.isTTY ? await askHidden("Operator token: ") : await readStream(process.stdin));
  return token.trim();
}

function checkedUrl(text: string): string {
  const url = URL.parse(text);
  if (!url || !/^https?:$/.test(url.protocol))
    throw new AppError(
      "invalid-input",
      `"${text}" is not a URL: for example https://mirror-control.example.org`,
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
      const status = await createClient({ url, token }).getStatus();
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
