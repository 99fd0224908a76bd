import { createInterface } from "node:readline/promises";
import { Writable } from "node:stream";
import { text as readStream } from "node:stream/consumers";

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

/** A secret that is typed unseen on a terminal, else the whole of standard input, without white space around it. */
export async function readSecret(question: string): Promise<string> {
  const text = process.stdin.isTTY ? await askHidden(question) : await readStream(process.stdin);
  return text.trim();
}
