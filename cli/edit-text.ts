import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";
import { AppError } from "../protocol/errors.ts";

/** Lets the user change a text in `$VISUAL` or `$EDITOR`. @throws AppError where there is none, or it fails. */
export async function editText({ text, name }: { text: string; name: string }): Promise<string> {
  const editor = process.env["VISUAL"] ?? process.env["EDITOR"];
  if (!editor)
    throw new AppError("invalid-input", "set EDITOR, or name the fields: --schedule, --set …");
  const directory = await mkdtemp(join(tmpdir(), "mirrorfleet-edit-"));
  try {
    const file = join(directory, name);
    await writeFile(file, text, { mode: 0o600 });
    // As git does: the variable is a command line of the user's own shell.
    const { failed } = await execa("sh", ["-c", `${editor} "$1"`, editor, file], {
      stdio: "inherit",
      reject: false,
    });
    if (failed) throw new AppError("invalid-input", "the editor failed: nothing was changed");
    return await readFile(file, "utf8");
  } finally {
    await rm(directory, { recursive: true });
  }
}
