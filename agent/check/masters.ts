import type { Source } from "../../protocol/rsync.ts";
import type { Config } from "../config.ts";
import { readIdentity } from "../identity.ts";
import { openTls } from "../rsync/tls-connect.ts";
import { readTlsKey } from "../rsync/tls-key.ts";
import { readStandingSet } from "../standing/kept.ts";
import { validOrders } from "../standing/orders.ts";
import { fail, type Finding, ok } from "./outcome.ts";

const checkSeconds = 10;
const beforeJoin = ok("not known before the host has joined");

/** How others reach this host's own daemon. */
export async function checkDaemon({ stateDir, daemon }: Config): Promise<Finding> {
  const identity = await readIdentity({ stateDir }).catch(() => null);
  if (identity === null) return beforeJoin;
  if (!identity.roles.includes("master")) return ok("none: this host is no master");
  if (daemon.tls === "no") return ok(`plain rsync on port ${daemon.port}`);
  const key = await readTlsKey({ stateDir });
  const shown = key ? `the key ${key.keySha256}` : "a key that its first start makes";
  return ok(
    `TLS${daemon.tls === "both" ? " or plain rsync" : ""} on port ${daemon.port}, with ${shown}`,
  );
}

/** Reaches the masters that this host's standing orders name, as its pulls do. */
export async function checkMasters({ stateDir }: Config): Promise<Finding> {
  const identity = await readIdentity({ stateDir }).catch(() => null);
  if (identity === null) return beforeJoin;
  const kept = await readStandingSet({ stateDir });
  const orders = await validOrders({ identity, now: Date.now() / 1000 }, kept);
  const masters = new Map<string, Source>();
  for (const { claims } of orders)
    for (const { sources } of claims.role === "ftp" ? claims.sync.steps : [])
      for (const { source } of sources) masters.set(`${source.host} port ${source.port}`, source);
  if (masters.size === 0) return ok("none is named by standing orders");
  const said: string[] = [];
  for (const [name, { host, port, tls }] of masters) {
    if (typeof tls !== "object") said.push(`${name} by plain rsync`);
    else {
      const target = { host, port, family: 0, keySha256: tls.keySha256 };
      const socket = await openTls(target, checkSeconds).catch(({ message }: Error) => {
        throw fail(`${name}: ${message}`);
      });
      socket.destroy();
      said.push(`${name} by TLS, with the key that the control plane names`);
    }
  }
  return ok(said.join("; "));
}
