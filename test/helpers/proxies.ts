import { spawnSync } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { freePort } from "../../demo/processes.ts";
import type { TestConnection } from "./database.ts";
import { isRoot } from "./postgres.ts";
import { start, until } from "./programs.ts";

const isInstalled = (program: string, flag: string) => spawnSync(program, [flag]).status === 0;

/** Why a test that needs nginx cannot run; null where it can. */
export const noNginx = () =>
  isInstalled("nginx", "-v") ? null : "nginx is not installed (apt-get install nginx)";

/** Why a test that needs PgBouncer cannot run; null where it can. */
export const noPgBouncer = () =>
  isInstalled("pgbouncer", "--version")
    ? null
    : "PgBouncer is not installed (apt-get install pgbouncer)";

/** Starts nginx in front of control planes, by the sample in deploy/nginx; on plain HTTP. Answers its URL. */
export async function startNginx({
  directory,
  controlPlanes,
}: {
  directory: string;
  controlPlanes: number[];
}): Promise<string> {
  const port = await freePort();
  const path = new URL("../../deploy/nginx/mirrorfleet.conf", import.meta.url);
  const sample = (await readFile(path, "utf8")).replaceAll(/^\s*ssl_certificate.*$/gm, "");
  const servers = [...sample.matchAll(/10\.0\.0\.\d:8420/g)].map(([address]) => address);
  if (servers.length !== controlPlanes.length) throw new Error("the sample names other servers");
  const here = servers.reduce(
    (all, address, index) => all.replace(address, `127.0.0.1:${controlPlanes[index]}`),
    sample.replace("listen 443 ssl", `listen 127.0.0.1:${port}`),
  );
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
    .map((name) => `${name}_temp_path ${directory}/nginx-${name};`)
    .join("\n");
  const config = join(directory, "nginx.conf");
  await writeFile(
    config,
    `${isRoot ? "user root;" : ""}\ndaemon off;\nworker_processes 1;\npid ${directory}/nginx.pid;
error_log stderr notice;\nevents {}\nhttp {\naccess_log off;\n${temporary}\n${here}}\n`,
  );
  const url = `http://127.0.0.1:${port}`;
  start({
    name: "nginx",
    command: "nginx",
    args: ["-e", "stderr", "-p", directory, "-c", config],
    env: {},
    logFile: join(directory, "nginx.log"),
  });
  await until("nginx answers", () =>
    fetch(url).then(
      () => true,
      () => false,
    ),
  );
  return url;
}

/** Starts PgBouncer in transaction mode. Answers the URL of a database behind it. */
export async function startPgBouncer(
  { host, user, database }: TestConnection,
  { directory }: { directory: string },
): Promise<string> {
  const port = await freePort();
  const config = join(directory, "pgbouncer.ini");
  await writeFile(
    config,
    `[databases]\n* = host=${host} user=${user}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = ${port}\nunix_socket_dir =\nauth_type = any\npool_mode = transaction\n`,
  );
  const logFile = join(directory, "pgbouncer.log");
  start({
    name: "pgbouncer",
    command: "pgbouncer",
    args: [...(isRoot ? ["-u", "nobody"] : []), config],
    env: process.env["LD_LIBRARY_PATH"] ? { LD_LIBRARY_PATH: process.env["LD_LIBRARY_PATH"] } : {},
    logFile,
  });
  await until("PgBouncer listens", async () =>
    (await readFile(logFile, "utf8")).includes("process up"),
  );
  return `postgres://${user}@127.0.0.1:${port}/${database}`;
}
