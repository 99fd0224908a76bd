import { once } from "node:events";
import { createServer } from "node:net";
import { execa } from "execa";
import { expect, onTestFinished, test } from "vitest";
import { makeNetwork, type Network } from "../../chaos/network.ts";

/** Null where this machine has no network namespaces for us. */
const tryNetwork = () => makeNetwork({ hosts: ["ftp1", "ftp3"] }).catch(() => null);

async function listen({ gateway }: Network): Promise<number> {
  const server = createServer((socket) => {
    socket.on("error", () => undefined);
    socket.pipe(socket);
  }).listen(0, gateway);
  await once(server, "listening");
  onTestFinished(() => void server.close());
  return (server.address() as { port: number }).port;
}

/** Milliseconds until a program in the namespace has its bytes back; what went wrong where it has not. */
async function ask(
  network: Network,
  { host, port, bytes = 1 }: { host: string; port: number; bytes?: number },
) {
  const script = `const began = performance.now();
    let missing = ${bytes};
    const socket = require("node:net").connect(${port}, "${network.gateway}", () => socket.write("x".repeat(missing)));
    setTimeout(() => { console.log("silence"); process.exit() }, 2000);
    socket.on("data", ({ length }) => {
      missing -= length;
      if (missing > 0) return;
      console.log(performance.now() - began);
      process.exit();
    });
    socket.on("error", ({ code }) => { console.log(code); process.exit() });`;
  const { namespace } = network.places.get(host)!;
  const inside = ["netns", "exec", namespace, process.execPath, "-e", script];
  const { stdout } = await execa("ip", inside);
  return Number.isNaN(Number(stdout)) ? stdout : Number(stdout);
}

test("a host in a namespace reaches the gateway, and not while its cable is cut or a black hole; others do (skipped without network namespaces: they take root and iproute2)", async ({
  skip,
}) => {
  const network = (await tryNetwork()) ?? skip();
  onTestFinished(network.remove);
  const port = await listen(network);
  const { cable } = network.places.get("ftp1")!;
  expect(await ask(network, { host: "ftp1", port })).toBeTypeOf("number");
  await cable.set("cut");
  expect(await ask(network, { host: "ftp1", port })).toBe("ENETUNREACH");
  expect(await ask(network, { host: "ftp3", port })).toBeTypeOf("number");
  await cable.set("hole");
  expect(await ask(network, { host: "ftp1", port })).toBe("silence");
  await cable.set("open");
  expect(await ask(network, { host: "ftp1", port })).toBeTypeOf("number");
});

test("a slow cable carries everything, in its time (skipped without network namespaces, and where the kernel can slow nothing down)", async ({
  skip,
}) => {
  const network = (await tryNetwork()) ?? skip();
  onTestFinished(network.remove);
  if (network.slowing === null) skip();
  const port = await listen(network);
  await network.places.get("ftp1")!.cable.set("slow");
  // 600 kbit/s, of which a first burst takes no time.
  expect(await ask(network, { host: "ftp1", port, bytes: 50_000 })).toBeGreaterThan(300);
});

test("networks of two runs are apart, and leave no namespace and no interface behind (skipped without network namespaces: they take root and iproute2)", async ({
  skip,
}) => {
  const networks = [(await tryNetwork()) ?? skip(), (await tryNetwork()) ?? skip()];
  const namespaces = networks.flatMap(({ places }) =>
    [...places.values()].map(({ namespace }) => namespace),
  );
  expect(new Set(networks.map(({ gateway }) => gateway)).size).toBe(2);
  expect(new Set(namespaces).size).toBe(4);
  for (const { remove } of networks) await remove();
  const { stdout: left } = await execa("ip", ["netns", "list"]);
  const { stdout: links } = await execa("ip", ["-brief", "link"]);
  for (const namespace of namespaces) {
    expect(left).not.toContain(namespace);
    expect(links).not.toContain(namespace.split("-")[0]);
  }
});
