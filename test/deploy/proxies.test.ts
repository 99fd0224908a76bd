import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { readFile, writeFile } from "node:fs/promises";
import { createServer, type IncomingMessage } from "node:http";
import { Agent, request } from "node:https";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished, test } from "vitest";
import { freePort } from "../../demo/processes.ts";
import { temporaryDirectory } from "../helpers/directory.ts";
import { start, until } from "../helpers/programs.ts";

const file = (path: string) => fileURLToPath(new URL(`../../${path}`, import.meta.url));
const certificate = file("test/fixtures/tls-certificate.pem");
const key = file("test/fixtures/tls-key.pem");

type Place = { directory: string; port: number; servers: [string, string] };
const withServers = (text: string, [one, two]: Place["servers"]) =>
  text.replaceAll("10.0.0.1:8420", one).replaceAll("10.0.0.2:8420", two);

const nginxFlags = (directory: string) =>
  `-e stderr -p ${directory} -c ${directory}/nginx.conf`.split(" ");
const caddyFlags = (directory: string) =>
  `--adapter caddyfile --config ${directory}/Caddyfile`.split(" ");

/** Each sample with what differs on this machine, and the commands that check and run it. */
const proxies = {
  nginx: {
    sample: "deploy/nginx/mirrorfleet.conf",
    write: async (text: string, { directory, port, servers }: Place) => {
      const here = withServers(text, servers)
        .replace("listen 443 ssl", `listen 127.0.0.1:${port} ssl`)
        .replace("/etc/ssl/mirrorfleet/fullchain.pem", certificate)
        .replace("/etc/ssl/mirrorfleet/privkey.pem", key);
      const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map((name) => `${name}_temp_path ${directory}/${name};`)
        .join("\n");
      const user = process.getuid?.() === 0 ? "user root;\n" : "";
      await writeFile(
        join(directory, "nginx.conf"),
        `${user}daemon off;\nworker_processes 1;\npid ${directory}/nginx.pid;\nerror_log stderr;\nevents {}\nhttp {\naccess_log off;\n${temporary}\n${here}\n}\n`,
      );
    },
    check: (directory: string) => ["-t", ...nginxFlags(directory)],
    run: (directory: string) => nginxFlags(directory),
  },
  haproxy: {
    sample: "deploy/haproxy/haproxy.cfg",
    write: async (text: string, { directory, port, servers }: Place) => {
      const both = await Promise.all([certificate, key].map((path) => readFile(path, "utf8")));
      await writeFile(join(directory, "both.pem"), both.join("\n"));
      const here = withServers(text, servers)
        .replace("bind :443", `bind 127.0.0.1:${port}`)
        .replace("/etc/haproxy/certs/mirrorfleet.pem", join(directory, "both.pem"));
      await writeFile(join(directory, "haproxy.cfg"), here);
    },
    check: (directory: string) => ["-c", "-f", join(directory, "haproxy.cfg")],
    run: (directory: string) => ["-db", "-f", join(directory, "haproxy.cfg")],
  },
  caddy: {
    sample: "deploy/caddy/Caddyfile",
    write: async (text: string, { directory, port, servers }: Place) => {
      const here = withServers(text, servers).replace(
        "mirror-control.example.org {",
        `https://localhost:${port} {\n\ttls ${certificate} ${key}`,
      );
      const global = "{\n\tadmin off\n\tauto_https disable_redirects\n}\n";
      await writeFile(join(directory, "Caddyfile"), global + here);
    },
    check: (directory: string) => ["validate", ...caddyFlags(directory)],
    run: (directory: string) => ["run", ...caddyFlags(directory)],
  },
};

/** Answers as a control plane does: at once, after a while, or piece by piece. */
async function startServer(): Promise<string> {
  const server = createServer((incoming, answer) => {
    const { url = "", headers } = incoming;
    const told = JSON.stringify({
      proto: headers["x-forwarded-proto"],
      for: headers["x-forwarded-for"],
    });
    if (url.includes("/log")) {
      answer.write("first\n");
      setTimeout(() => answer.end("last\n"), 3000);
    } else setTimeout(() => answer.end(told), url.includes("/poll") ? 3000 : 0);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** Sends a request; answers the pieces of the answer with the milliseconds at which they came. */
async function ask(port: number, { method = "GET", path }: { method?: string; path: string }) {
  const agent = new Agent({ rejectUnauthorized: false });
  const began = performance.now();
  const sent = request({
    host: "127.0.0.1",
    port,
    method,
    path,
    agent,
    servername: "localhost",
    headers: { host: `localhost:${port}` },
  });
  sent.end(method === "POST" ? "x".repeat(1_000_000) : undefined);
  const [answer] = (await once(sent, "response")) as [IncomingMessage];
  const pieces: { at: number; text: string }[] = [];
  for await (const piece of answer)
    pieces.push({ at: performance.now() - began, text: String(piece) });
  return { status: answer.statusCode!, pieces };
}

test.for(Object.entries(proxies))(
  "the sample for %s is valid, passes over a server that is away, holds polls, and lets logs through as they come",
  async ([name, { sample, write, check, run }], { skip }) => {
    skip(
      spawnSync(name, [name === "caddy" ? "version" : "-v"]).status !== 0,
      `${name} is not installed`,
    );
    const directory = await temporaryDirectory();
    const port = await freePort();
    const servers: Place["servers"] = [`127.0.0.1:${await freePort()}`, await startServer()];
    await write(await readFile(file(sample), "utf8"), { directory, port, servers });
    const env = { HOME: directory, XDG_DATA_HOME: directory, XDG_CONFIG_HOME: directory };
    const checked = spawnSync(name, check(directory), {
      env: { ...process.env, ...env },
      encoding: "utf8",
    });
    expect(checked.status, checked.stderr + checked.stdout).toBe(0);
    start({ name, command: name, args: run(directory), env, logFile: join(directory, "log") });
    await until(`${name} answers`, () =>
      ask(port, { path: "/readyz" }).then(
        ({ status }) => status === 200,
        () => false,
      ),
    );
    await sleep(100);
    const [{ status, pieces }, poll, log] = await Promise.all([
      ask(port, { path: "/v1/projects" }),
      ask(port, { method: "POST", path: "/v1/agent/poll" }),
      ask(port, { path: "/v1/tasks/1/log?follow=1" }),
    ]);
    expect([status, poll.status, log.status]).toEqual([200, 200, 200]);
    expect(JSON.parse(pieces.map(({ text }) => text).join(""))).toEqual({
      proto: "https",
      for: "127.0.0.1",
    });
    expect(log.pieces.map(({ text }) => text)).toEqual(["first\n", "last\n"]);
    expect(log.pieces[0]!.at).toBeLessThan(2500);
  },
);
