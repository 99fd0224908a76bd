import { createHash } from "node:crypto";
import { once } from "node:events";
import { readdir, readFile, readlink } from "node:fs/promises";
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
  const name = `mirrorfleet:${createHash("sha256").update(directory).digest("hex")}`;
  const server = createServer((socket) => {
    // Whoever asks may hang up early; that is no concern of the holder.
    socket.on("error", () => socket.destroy());
    socket.end(String(process.pid));
  });
  try {
    await once(server.listen(`\0${name}`), "listening");
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== "EADDRINUSE") throw cause;
    throw new AppError("conflict", await explain(name, { directory }), { cause });
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

/** Any user of the machine can take the name, and say to be any process: it is believed when that has the socket. */
async function explain(name: string, { directory }: { directory: string }): Promise<string> {
  const said = await askHolder(name);
  if (said !== null && (await hasSocket(said, { name })))
    return `${directory} is in use by another mirrorfleet control plane (process ${said}): stop that one, or give this one its own data directory`;
  return `the lock of ${directory} is taken by a process that this user cannot look into: as root, "ss -xlp | grep ${name}" shows which; end it`;
}

/** Does a process have the socket that listens by an abstract name? Only of one's own processes that can be known. */
async function hasSocket(pid: string, { name }: { name: string }): Promise<boolean> {
  const sockets = (await readFile("/proc/net/unix", "latin1")).split("\n");
  const fields = sockets.map((line) => line.trim().split(/\s+/));
  // Flags of one that listens, and its inode.
  const inode = fields.find(
    ([, , , flags, , , , path]) => flags === "00010000" && path === `@${name}`,
  )?.[6];
  const descriptors = await readdir(`/proc/${pid}/fd`).catch(() => []);
  const links = await Promise.all(
    descriptors.map((fd) => readlink(`/proc/${pid}/fd/${fd}`).catch(() => "")),
  );
  return inode !== undefined && links.includes(`socket:[${inode}]`);
}

/** The process that the holder says to be; null: it says nothing. */
async function askHolder(name: string): Promise<string | null> {
  const socket = connect(`\0${name}`);
  const deadline = AbortSignal.timeout(1000);
  deadline.addEventListener("abort", () => socket.destroy(new Error("no answer within 1 s")));
  let answer = "";
  try {
    for await (const chunk of socket.setEncoding("utf8")) answer += chunk;
  } catch {
    // What it is comes out of the rest that can be known.
    return null;
  }
  return /^\d{1,10}$/.test(answer) ? answer : null;
}
