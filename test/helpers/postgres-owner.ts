// A control plane as far as its database goes: owns an embedded Postgres until SIGTERM.
import { readFile, realpath } from "node:fs/promises";
import { join } from "node:path";
import { startEmbeddedPostgres } from "../../control-plane/db/embedded-postgres.ts";

const [directory = "", systemDirectory = ""] = process.argv.slice(2);
const ctx = { log: (message: string) => process.stderr.write(`${message}\n`) };
const server = await startEmbeddedPostgres(ctx, { directory, systemDirectory });
process.once("SIGTERM", () => void server.stop().then(() => process.exit(0)));
const file = await readFile(join(await realpath(directory), "postmaster.pid"), "utf8");
console.log(JSON.stringify({ connection: server.connection, pid: Number(file.split("\n")[0]) }));
