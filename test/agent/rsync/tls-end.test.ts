import { once } from "node:events";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { connect as connectPlain } from "node:net";
import { join } from "node:path";
import { connect } from "node:tls";
import { expect, onTestFinished, test, vi } from "vitest";
import { syncTree } from "../../../agent/rsync/sync.ts";
import { createTlsEnd } from "../../../agent/rsync/tls-end.ts";
import { openTlsKey, tlsKeyFile } from "../../../agent/rsync/tls-key.ts";
import type { Source } from "../../../protocol/rsync.ts";
import { temporaryDirectory } from "../../helpers/directory.ts";
import { pullOf, startSource, syncSpec } from "../../helpers/rsync.ts";

const identity = { signingKey: { kty: "OKP", crv: "Ed25519", x: "agent-key", d: "" } } as const;

/** Pulls from a master's daemon as an FTP host does. */
const pullFrom = (
  { port, destination }: { port: number; destination: string },
  { tls }: { tls: Source["tls"] },
) => {
  const usual = pullOf(syncSpec({ port }));
  return syncTree(
    { rsync: "rsync", stateDir: "/nonexistent", wrapper: [] },
    {
      pull: { ...usual, source: { ...usual.source, ...(tls && { tls }) } },
      destination,
      password: "right-password",
      signal: new AbortController().signal,
      onLine: () => {},
      onProgress: () => {},
    },
  );
};

async function startTlsSource(input: Parameters<typeof startSource>[0] = {}) {
  const source = await startSource({ tls: "yes", ...input });
  await writeFile(join(source.tree, "large"), Buffer.alloc(3_000_000, "x"));
  return { ...source, tls: { keySha256: source.keySha256! } };
}

/** What the daemon says to a client that comes from an address and asks for the mirror. */
async function hear({ port, localAddress }: { port: number; localAddress: string }) {
  const options = { port, host: "127.0.0.1", localAddress, rejectUnauthorized: false };
  const socket = connect(options, () => socket.write("@RSYNCD: 31.0\nmirror\n"));
  let said = "";
  for await (const chunk of socket) {
    said += String(chunk);
    if (/AUTHREQD|ERROR/.test(said)) break;
  }
  return said;
}

test("a master whose key the order names is pulled from through TLS", async () => {
  const source = await startTlsSource();
  expect(await pullFrom(source, source)).toMatchObject({ outcome: "ok", exitCode: 0 });
  expect(await readdir(source.destination)).toEqual(["large"]);
  await writeFile(join(source.tree, "second"), "2");
  expect(await pullFrom(source, source)).toMatchObject({ outcome: "ok" });
});

test("a master with another key is sent nothing, and the fault says which keys and what to do", async () => {
  const source = await startTlsSource();
  const result = await pullFrom(source, { tls: { keySha256: "0".repeat(64) } });
  expect(result).toMatchObject({ outcome: "retryable", exitCode: 10 });
  expect(result.message).toContain(`it shows the key ${source.tls.keySha256}`);
  expect(result.message).toContain('"mirrorfleet-agent check" on the master says its key');
  expect(await readFile(join(source.stateDir, "rsyncd.log"), "utf8").catch(() => "")).toBe("");
});

test("a master's own certificate counts for nothing where authorities are asked", async () => {
  const source = await startTlsSource();
  const result = await pullFrom(source, { tls: true });
  expect(result).toMatchObject({ outcome: "retryable", exitCode: 10 });
  expect(result.message).toContain("self-signed certificate");
});

test("plain rsync at a master that takes TLS alone is told the cure", async () => {
  const source = await startTlsSource();
  const result = await pullFrom(source, { tls: undefined });
  expect(result).toMatchObject({ outcome: "retryable", exitCode: 5 });
  expect(result.message).toContain("update the agent of this host");
  expect(await readdir(source.destination)).toEqual([]);
});

test("a master that takes both serves hosts that know no TLS and hosts that do", async () => {
  const source = await startTlsSource({ tls: "both" });
  expect(await pullFrom(source, { tls: undefined })).toMatchObject({ outcome: "ok" });
  await writeFile(join(source.tree, "second"), "2");
  expect(await pullFrom(source, source)).toMatchObject({ outcome: "ok" });
});

test("TLS at a daemon for plain rsync fails as not reached, and says why", async () => {
  const source = await startSource();
  const result = await pullFrom(source, { tls: { keySha256: "0".repeat(64) } });
  expect(result).toMatchObject({ outcome: "retryable", exitCode: 10 });
  expect(result.message).toContain("MIRRORFLEET_DAEMON_TLS=no");
});

test("rsync judges the address that a client has behind TLS", async () => {
  const { port } = await startTlsSource({ addresses: ["127.0.0.2"] });
  expect(await hear({ port, localAddress: "127.0.0.2" })).toContain("AUTHREQD");
  expect(await hear({ port, localAddress: "127.0.0.1" })).toContain("Unknown module");
});

/** The listener in this process, with little patience. */
async function listen() {
  const directory = await temporaryDirectory();
  const stateDir = join(directory, "state");
  await mkdir(stateDir);
  await openTlsKey({ stateDir, identity });
  const server = createTlsEnd(
    { log: () => {} },
    {
      address: "127.0.0.1",
      port: 0,
      keyFile: tlsKeyFile(stateDir),
      rsync: "rsync",
      config: "/dev/null",
      plainToo: false,
      admissionSeconds: 0.5,
    },
  ).listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  const { port } = server.address() as { port: number };
  return port;
}

test("a connection that says nothing, or never ends its handshake, or no password, is closed", async () => {
  const port = await listen();
  const silent = connectPlain({ port });
  const stuck = connectPlain({ port });
  // A record of a handshake that never comes.
  stuck.write(Buffer.from([22, 3, 1, 2, 0]));
  const idle = connect({ port, rejectUnauthorized: false });
  idle.write("@RSYNCD: 31.0\n");
  const began = performance.now();
  const ends = [silent, stuck, idle].map((each) => {
    each.on("error", () => undefined);
    return once(each.resume(), "close");
  });
  await Promise.all(ends);
  expect(performance.now() - began).toBeLessThan(5000);
});

test("one address cannot hold more than 64 connections that are not admitted", async () => {
  const port = await listen();
  const sockets = Array.from({ length: 64 }, () => connectPlain({ port }));
  for (const each of sockets) each.on("error", () => undefined);
  onTestFinished(() => sockets.forEach((each) => each.destroy()));
  await Promise.all(sockets.map((each) => once(each, "connect")));
  const beyond = connectPlain({ port });
  beyond.on("error", () => undefined);
  const began = performance.now();
  await once(beyond.resume(), "close");
  expect(performance.now() - began).toBeLessThan(400);
  expect(sockets.every((each) => !each.destroyed)).toBe(true);
});

test("a master's log says once whom it has no place for, and what to do", async () => {
  const lines: string[] = [];
  const { port } = await startSource({ tls: "yes", log: (line) => lines.push(line) });
  const sockets = Array.from({ length: 80 }, () => connectPlain({ port }));
  onTestFinished(() => sockets.forEach((each) => each.destroy()));
  const closed = sockets.map((each) => {
    each.on("error", () => undefined);
    return new Promise<void>((resolve) => void each.resume().once("close", () => resolve()));
  });
  // Those beyond the 64 are closed at once.
  await Promise.all([Promise.any(closed), ...sockets.map((each) => once(each, "connect"))]);
  await vi.waitFor(() => expect(sockets.filter((each) => each.destroyed)).toHaveLength(16));
  await vi.waitFor(() => expect(lines).not.toEqual([]));
  expect(lines).toEqual([
    expect.stringMatching(
      `^the rsync daemon: closed a connection of 127.0.0.1: 64 of its connections.*firewall.*port ${port}$`,
    ),
  ]);
});
