import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";
import { AppError } from "../protocol/errors.ts";

/**
 * Lets the user change a text in `$VISUAL` or `$EDITOR`, and does something with it. Where that fails the
 * file stays, and is named: nobody has to write it again. @throws AppError where there is no editor, too.
 */
export async function editText(
  { text, name }: { text: string; name: string },
  use: (text: string) => Promise<unknown>,
): Promise<void> {
  const editor = process.env["VISUAL"] ?? process.env["EDITOR"];
  if (!editor)
    throw new AppError("invalid-input", "set EDITOR, or name the fields: --schedule, --set …");
  const directory = await mkdtemp(join(tmpdir(), "mirrorfleet-edit-"));
  const file = join(directory, name);
  try {
    await writeFile(file, text, { mode: 0o600 });
    // As git does: the variable is a command line of the user's own shell.
    const { failed } = await execa("sh", ["-c", `${editor} "$1"`, editor, file], {
      stdio: "inherit",
      reject: false,
    });
    if (failed) throw new AppError("invalid-input", "the editor failed: nothing was changed");
    await use(await readFile(file, "utf8"));
  } catch (cause) {
    if (!(cause instanceof AppError)) throw cause;
    const { code, message, fields } = cause;
    throw new AppError(code, `${message}\nyour text is kept in ${file}`, {
      cause,
      fields,
    });
  }
  await rm(directory, { recursive: true });
}
