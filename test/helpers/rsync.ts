import { mkdir } from "node:fs/promises";
import { createServer } from "node:net";
import { once } from "node:events";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { type SyncSpec } from "../../protocol/order.ts";
import { rsyncOptionsSchema } from "../../protocol/rsync.ts";
import type { Pull } from "../../agent/rsync/argv.ts";
import { listsDirectory } from "../../agent/changes/journal.ts";
import { startDaemon } from "../../agent/rsync/daemon.ts";
import { openTlsKey } from "../../agent/rsync/tls-key.ts";
import { temporaryDirectory } from "./directory.ts";

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, "close");
  return port;
}

/** A spec that pulls module "mirror" of a daemon on loopback. */
export function syncSpec({ port, ...overrides }: { port: number } & Partial<SyncSpec>): SyncSpec {
  return {
    project: "debian",
    path: "debian",
    root: null,
    steps: [
      {
        sources: [
          {
            source: { host: "127.0.0.1", port, module: "mirror", path: null, user: "ftp1" },
            sealedPassword: null,
          },
        ],
        destination: "debian",
        sentinel: null,
      },
    ],
    scanEverySeconds: 0,
    publish: null,
    carry: null,
    undo: null,
    options: rsyncOptionsSchema.parse({}),
    limits: {
      wallClockSeconds: 60,
      stallSeconds: 30,
      maxDeletePercent: 10,
      approvedDeletions: null,
    },
    ...overrides,
  };
}

/** The one rsync of a spec that has one. */
export function pullOf({ steps: [step], options, limits }: SyncSpec): Pull {
  return { source: step!.sources[0]!.source, options, limits, own: null };
}

type DaemonInput = {
  tls?: "yes" | "no" | "both";
  addresses?: string[];
  rsync?: string;
  log?: (line: string) => void;
};

/** A real daemon as the master's agent runs it, which admits ftp1; for plain rsync unless said otherwise. */
export async function startMastersDaemon({
  tree,
  stateDir,
  tls = "no",
  addresses = ["127.0.0.1"],
  rsync = "rsync",
  log = () => {},
}: { tree: string; stateDir: string } & DaemonInput) {
  const port = await freePort();
  await mkdir(listsDirectory(stateDir), { recursive: true });
  const identity = { signingKey: { kty: "OKP", crv: "Ed25519", x: "agent-key", d: "" } } as const;
  const key = tls === "no" ? null : await openTlsKey({ stateDir, identity });
  const daemon = await startDaemon(
    { rsync, log },
    {
      tls,
      roots: [{ path: tree, module: "mirror" }],
      port,
      address: "127.0.0.1",
      stateDir,
      lists: listsDirectory(stateDir),
      users: [{ name: "ftp1", password: "right-password", addresses }],
      serves: null,
    },
  );
  onTestFinished(daemon.stop);
  return { port, daemon, keySha256: key?.keySha256 };
}

/** A daemon, its tree, and an empty directory to pull into. */
export async function startSource(input: DaemonInput = {}) {
  const directory = await temporaryDirectory();
  const [tree, destination, stateDir] = ["tree", "destination", "state"].map((name) =>
    join(directory, name),
  ) as [string, string, string];
  for (const path of [tree, destination, stateDir]) await mkdir(path);
  return {
    tree,
    destination,
    stateDir,
    ...(await startMastersDaemon({ tree, stateDir, ...input })),
  };
}
