// Holds a destination and pulls into it slowly, as an agent does; prints the pid of its rsync.
import { readFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { holdDestination } from "../../agent/hold.ts";
import { runRsync } from "../../agent/rsync/spawn.ts";

const [destination, stateDir, port] = process.argv.slice(2) as [string, string, string];
const held = await holdDestination({ destination });
void runRsync(
  { rsync: "rsync", stateDir, wrapper: [], holding: held.fd },
  {
    connection: {
      source: { host: "127.0.0.1", port: Number(port), module: "mirror", path: null, user: "ftp1" },
      ipVersion: null,
    },
    argv: ["--bwlimit=512", "--recursive", `rsync://ftp1@127.0.0.1:${port}/mirror/`, destination],
    password: "right-password",
    wallClockSeconds: 60,
    stallSeconds: 60,
    signal: new AbortController().signal,
    onLine: () => {},
    onProgress: () => {},
  },
);
// Its own children only.
const childrenFile = `/proc/${process.pid}/task/${process.pid}/children`;
for (let pid = ""; pid === ""; await sleep(20)) {
  for (const child of (await readFile(childrenFile, "utf8")).split(" ").filter(Boolean)) {
    const name = await readFile(`/proc/${child}/comm`, "utf8").catch(() => "");
    if (name.trim() === "rsync") pid = child;
  }
  if (pid !== "") process.stdout.write(`${pid}\n`);
}
