import { createHash } from "node:crypto";
import { once } from "node:events";
import { connect, createServer } from "node:net";
import { AppError } from "../../protocol/errors.ts";

export type DirectoryLock = { release: () => Promise<void> };

/**
 * Takes `directory` (a real path) for this process alone. The lock is an abstract Unix
 * socket: the kernel drops it with the process, however that ends, and no file is left.
 * It is seen only inside one network namespace.
 * @throws AppError `conflict` that names the process which has it.
 */
export async function lockDirectory({ directory }: { directory: string }): Promise<DirectoryLock> {
  const name = `\0mirrorfleet:${createHash("sha256").update(directory).digest("hex")}`;
  const server = createServer((socket) => {
    // Whoever asks may hang up early; that is no concern of the holder.
    socket.on("error", () => socket.destroy());
    socket.end(String(process.pid));
  });
  try {
    await once(server.listen(name), "listening");
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== "EADDRINUSE") throw cause;
    throw new AppError(
      "conflict",
      `${directory} is in use by another mirrorfleet control plane (${await askHolder(name)}): stop that one, or give this one its own data directory`,
      { cause },
    );
  }
  server.unref();
  return {
    release: async () => {
      if (!server.listening) return;
      server.close();
      await once(server, "close");
    },
  };
}

async function askHolder(name: string): Promise<string> {
  const socket = connect(name);
  const deadline = AbortSignal.timeout(1000);
  deadline.addEventListener("abort", () => socket.destroy(new Error("no answer within 1 s")));
  let answer = "";
  try {
    for await (const chunk of socket.setEncoding("utf8")) answer += chunk;
  } catch (error) {
    return `its process is not known: ${(error as Error).message}`;
  }
  return /^\d{1,10}$/.test(answer) ? `process ${answer}` : "its process is not known";
}
