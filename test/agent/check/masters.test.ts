import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { SignJWT } from "jose";
import { expect, test } from "vitest";
import { checkHost } from "../../../agent/check/host.ts";
import { readConfig } from "../../../agent/config.ts";
import { writeIdentity } from "../../../agent/identity.ts";
import { openTlsKey } from "../../../agent/rsync/tls-key.ts";
import type { Source } from "../../../protocol/rsync.ts";
import { tokenTypes } from "../../../protocol/order.ts";
import { makeIdentity } from "../../helpers/agent.ts";
import { temporaryDirectory } from "../../helpers/directory.ts";
import { startSource, syncSpec } from "../../helpers/rsync.ts";

/** What the check says of a host that has joined, and keeps a standing order to pull from this source. */
async function checkOf({
  roles = ["ftp"],
  source,
  sources = "rsync://*",
}: {
  roles?: ("master" | "ftp")[];
  source?: Source;
  sources?: string;
}) {
  const stateDir = await temporaryDirectory();
  const { identity, taskKey, kid, orderClaims } = await makeIdentity();
  await writeIdentity({ stateDir, identity: { ...identity, roles } });
  if (source) {
    const steps = [
      { sources: [{ source, sealedPassword: null }], destination: "debian", sentinel: null },
    ];
    const now = Math.floor(Date.now() / 1000);
    const order = await new SignJWT({
      ...orderClaims(),
      nbf: now,
      role: "ftp",
      occurrences: [now + 60],
      delaySeconds: 0,
      misfire: "latest",
      upstream: null,
      hostParallel: null,
      sync: syncSpec({ port: 1, steps }),
    })
      .setProtectedHeader({ alg: "EdDSA", typ: tokenTypes.standing, kid })
      .sign(taskKey.privateKey);
    await mkdir(join(stateDir, "standing"));
    const set = { version: "1", orders: [order] };
    await writeFile(join(stateDir, "standing/orders.json"), JSON.stringify(set));
  }
  const flags = { "state-dir": stateDir, "mirror-roots": stateDir, sources };
  const lines: string[] = [];
  await checkHost({
    config: readConfig({ file: "/dev/null", environment: {}, flags }),
    beforeStart: true,
    print: (line) => lines.push(line),
  });
  const said = (name: string) => lines.find((line) => line.includes(`  ${name}: `));
  return { identity, stateDir, said };
}

test("check reaches the master that the standing orders name, and compares its key", async () => {
  const { port, keySha256 } = await startSource({ tls: "yes" });
  const source = { host: "127.0.0.1", port, module: "mirror", path: null, user: "ftp1" };
  const good = await checkOf({ source: { ...source, tls: { keySha256: keySha256! } } });
  expect(good.said("masters")).toMatch(/^ok .*127\.0\.0\.1 port \d+ by TLS, with the key/);
  const bad = await checkOf({ source: { ...source, tls: { keySha256: "0".repeat(64) } } });
  expect(bad.said("masters")).toMatch(/^FAIL .*it shows the key/);
  const plain = await checkOf({ source });
  expect(plain.said("masters")).toMatch(/^ok .*by plain rsync/);
  expect((await checkOf({})).said("masters")).toMatch(/^ok .*none is named/);
});

test("check on a master says the key of its daemon", async () => {
  const { said, stateDir, identity } = await checkOf({ roles: ["master"] });
  expect(said("rsync daemon")).toMatch(/^ok .*TLS on port 8873, with a key that its first start/);
  const { keySha256 } = await openTlsKey({ stateDir, identity });
  const again: string[] = [];
  const flags = { "state-dir": stateDir };
  const config = readConfig({ file: "/dev/null", environment: {}, flags });
  await checkHost({ config, beforeStart: true, print: (line) => again.push(line) });
  expect(again.join("\n")).toContain(`with the key ${keySha256}`);
});

test("a master behind TLS counts as reached, whichever way the rule names it", async () => {
  const { port } = await startSource({ tls: "yes" });
  for (const scheme of ["rsync", "rsyncs"]) {
    const { said } = await checkOf({ sources: `${scheme}://127.0.0.1:${port}/` });
    expect(said("sources")).toMatch(/^ok .* reached/);
  }
});
