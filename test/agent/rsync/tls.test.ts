import { once } from "node:events";
import { readFileSync } from "node:fs";
import { readdir, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import { createServer, getCACertificates, setDefaultCACertificates } from "node:tls";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, expect, onTestFinished, test } from "vitest";
import { syncTree } from "../../../agent/rsync/sync.ts";
import { pullOf, startSource, syncSpec } from "../../helpers/rsync.ts";

const fixture = (name: string) => fileURLToPath(new URL(`../../fixtures/${name}`, import.meta.url));
const certificate = fixture("tls-certificate.pem");
const trusted = getCACertificates("default");

beforeEach(() => setDefaultCACertificates([...trusted, readFileSync(certificate, "utf8")]));
afterEach(() => setDefaultCACertificates(trusted));

/** A real daemon behind a TLS server, as stunnel would be, and a pull from there. */
async function startTlsSource() {
  const source = await startSource();
  const server = createServer(
    { key: readFileSync(fixture("tls-key.pem")), cert: readFileSync(certificate) },
    (socket) => {
      const daemon = connect({ port: source.port, host: "127.0.0.1" });
      socket.pipe(daemon).pipe(socket);
      for (const each of [socket, daemon]) each.on("error", () => socket.destroy());
    },
  ).listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  const { port } = server.address() as { port: number };
  const pull = (host: string) => {
    const usual = pullOf(syncSpec({ port }));
    return syncTree(
      { rsync: "rsync", stateDir: "/nonexistent", wrapper: [] },
      {
        pull: { ...usual, source: { ...usual.source, host, tls: true } },
        destination: source.destination,
        password: "right-password",
        signal: new AbortController().signal,
        onLine: () => {},
        onProgress: () => {},
      },
    );
  };
  return { ...source, pull };
}

test("a source behind TLS is pulled from, by name and by address", async () => {
  const { tree, destination, pull } = await startTlsSource();
  await writeFile(join(tree, "large"), Buffer.alloc(3_000_000, "x"));
  expect(await pull("localhost")).toMatchObject({ outcome: "ok", exitCode: 0 });
  expect(await readdir(destination)).toEqual(["large"]);
  await writeFile(join(tree, "second"), "2");
  expect(await pull("127.0.0.1")).toMatchObject({ outcome: "ok" });
});

test("a certificate that nobody vouches for ends the pull, says so, and counts as not reached", async () => {
  setDefaultCACertificates(trusted);
  const { tree, destination, pull } = await startTlsSource();
  await writeFile(join(tree, "file"), "content");
  const result = await pull("localhost");
  expect(result).toMatchObject({ outcome: "retryable", exitCode: 10 });
  expect(result.message).toContain("self-signed certificate");
  expect(await readdir(destination)).toEqual([]);
});
