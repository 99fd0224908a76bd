import { once } from "node:events";
import { connect } from "node:net";
import { text } from "node:stream/consumers";
import { expect, onTestFinished, test } from "vitest";
import { openTlsProxy } from "../../../agent/rsync/tls-proxy.ts";
import { startSource } from "../../helpers/rsync.ts";
import { until } from "../../helpers/programs.ts";

async function startProxy({ key }: { key?: string } = {}) {
  const { port, keySha256 } = await startSource({ tls: "yes" });
  const faults: string[] = [];
  const target = { host: "127.0.0.1", port, family: 0, keySha256: key ?? keySha256! };
  const proxy = await openTlsProxy(target, { onFault: (line) => faults.push(line) });
  onTestFinished(proxy.close);
  const { hostname, port: own, username, password } = new URL(`http://${proxy.env.RSYNC_PROXY}`);
  const open = () => connect({ host: hostname, port: Number(own) });
  /** A connection that asks as rsync does. */
  const ask = (login: string | null) => {
    const socket = open();
    const authorization = login === null ? "" : `\r\nProxy-Authorization: Basic ${btoa(login)}`;
    socket.write(`CONNECT 192.0.2.1:873 HTTP/1.0${authorization}\r\n\r\n`);
    return socket;
  };
  return { ...proxy, faults, open, ask, login: `${username}:${password}` };
}

test("who knows the proxy's password comes to the daemon, and to no other place", async () => {
  const { ask, login } = await startProxy();
  const socket = ask(login);
  let said = "";
  socket.on("data", (chunk) => (said += String(chunk)));
  await once(socket, "data");
  socket.write("@RSYNCD: 31.0\n");
  await until("the daemon has greeted", async () => said.includes("@RSYNCD: "));
  expect(said).toMatch(/^HTTP\/1.0 200 OK\r\n\r\n@RSYNCD: /);
  socket.destroy();
});

test.for([null, "rsync:", "rsync:wrong", `rsync:${"A".repeat(43)}`])(
  "a stranger on this host who says %s is sent away",
  async (login) => {
    const { ask, faults } = await startProxy();
    expect(await text(ask(login))).toBe("HTTP/1.0 407 Proxy Authentication Required\r\n\r\n");
    expect(faults).toEqual([]);
  },
);

test("each proxy has a password of its own", async () => {
  const [first, second] = [await startProxy(), await startProxy()];
  expect(await text(first.ask(second.login))).toMatch(/^HTTP\/1.0 407 /);
});

test("a daemon with another key is not spoken to, and the fault is told", async () => {
  const { ask, login, faults } = await startProxy({ key: "0".repeat(64) });
  expect(await text(ask(login))).toMatch(/^HTTP\/1.0 502 /);
  expect(faults).toEqual([expect.stringMatching(/^mirrorfleet-agent tls: .* shows the key /)]);
});

test("nothing is left of a proxy that is closed", async () => {
  const { ask, login, close, open } = await startProxy();
  const socket = ask(login);
  await once(socket, "data");
  const idle = open();
  await once(idle, "connect");
  close();
  await Promise.all([once(socket, "close"), once(idle, "close")]);
  const [error] = await once(open(), "error");
  expect(error).toMatchObject({ code: "ECONNREFUSED" });
});
