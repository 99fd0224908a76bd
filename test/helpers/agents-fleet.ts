import { randomUUID } from "node:crypto";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { traceFileOf } from "../../agent/trace-file.ts";
import { workOn } from "../../agent/work.ts";
import { compareTrees } from "../../demo/compare.ts";
import type { SyncSpec } from "../../protocol/order.ts";
import type { ChangeList, Report } from "../../protocol/report.ts";
import type { Trace } from "../../protocol/trace.ts";
import { makeAgentCtx } from "./agent.ts";
import { startCuttingProxy } from "./cutting-proxy.ts";
import { startMastersDaemon, startSource, syncSpec } from "./rsync.ts";

/** What happens to a sync: nothing, the connection breaks, the agent ends it, or its result is lost. */
export type Fate = { kind: "whole" | "cut" | "ended" | "lost"; bytes?: number; after?: number };

const password = { user: "ftp1", host: "127.0.0.1", module: "mirror" };

/** Makes a master's daemon what an ordinary user's is; it reads its configuration at each connection. */
async function withoutChroot(stateDir: string): Promise<void> {
  const path = join(stateDir, "rsyncd.conf");
  const text = await readFile(path, "utf8");
  await writeFile(path, text.replace("use chroot = yes", "use chroot = no"));
}

/** An upstream, a master and two hosts with all of their real parts but the control plane. */
export async function makeAgentsFleet({ chroot = true }: { chroot?: boolean } = {}) {
  const upstream = await startSource();
  const master = await makeAgentCtx();
  const { port } = await startMastersDaemon({ tree: master.mirrorRoot, stateDir: master.stateDir });
  if (!chroot) await withoutChroot(master.stateDir);
  const hosts = [await makeAgentCtx(), await makeAgentCtx()];
  for (const [index, { ctx }] of [master, ...hosts].entries())
    Object.assign(ctx.identity, { host: ["hub", "ftp-a", "ftp-b"][index], hostId: randomUUID() });
  const proxies = {
    upstream: await startCuttingProxy(upstream),
    master: await startCuttingProxy({ port }),
  };
  let count = 0;
  /** A new project, and what the control plane knows of it; what is put into `wants` changes its orders. */
  const begin = async (wants: { trace?: Trace } = {}) => {
    const project = `project-${count++}`;
    await mkdir(join(upstream.tree, project));
    const state = {
      generation: 0,
      unpublished: false,
      lists: new Map<number, ChangeList>(),
      carried: [0, 0],
    };
    const run = async (
      agent: Awaited<ReturnType<typeof makeAgentCtx>>,
      proxy: { port: number; limit: { bytes: number } },
      { kind, bytes = 0, after = 0 }: Fate,
      order: object,
    ) => {
      const end = new AbortController();
      if (kind === "cut") proxy.limit.bytes = bytes;
      const ending = kind === "ended" ? sleep(after).then(() => end.abort()) : null;
      const result = await workOn(agent.ctx, {
        sync: {
          ...syncSpec({ port: 1 }),
          project,
          path: project,
          steps: [
            {
              sources: [
                {
                  source: { ...password, port: proxy.port, path: project },
                  sealedPassword: agent.sealedPassword,
                },
              ],
              destination: project,
              sentinel: null,
            },
          ],
          limits: { ...syncSpec({ port: 1 }).limits, approvedDeletions: 1_000_000 },
          ...wants,
          ...order,
        },
        signal: end.signal,
        onLine: () => {},
        onProgress: () => {},
      });
      await ending;
      proxy.limit.bytes = Number.POSITIVE_INFINITY;
      return result;
    };
    const pull = async (how: Fate) => {
      const result = await run(master, proxies.upstream, how, { publish: state.generation + 1 });
      if (result.outcome !== "ok" || how.kind === "lost") {
        state.unpublished = true;
        return result;
      }
      const { changes, changeList } = result;
      if (changes === 0 && !changeList && !state.unpublished && state.generation > 0) return result;
      state.generation += 1;
      state.unpublished = false;
      if (changeList) state.lists.set(state.generation, changeList);
      return result;
    };
    const results: Report[] = [];
    const follow = async (
      index: number,
      how: Fate,
      {
        files = 1_000_000,
        reconcile = false,
        ...order
      }: {
        files?: number;
        reconcile?: boolean;
        limits?: SyncSpec["limits"];
        options?: SyncSpec["options"];
      } = {},
    ) => {
      const from = state.carried[index]!;
      const { generation } = state;
      if (generation === 0) return "nothing";
      const numbers = Array.from({ length: generation - from }, (_, at) => from + at + 1);
      const lists = numbers.map((number) => state.lists.get(number));
      const whole = from > 0 && lists.every((list) => list !== undefined);
      const result = await run(hosts[index]!, proxies.master, how, {
        carry: {
          generation,
          from,
          files,
          reconcile,
          lists: whole
            ? lists.map((list) => ({ generation: list.generation, digest: list.digest }))
            : null,
        },
        ...order,
      });
      results.push(result);
      if (result.outcome !== "ok" || how.kind === "lost") return "failed";
      state.carried[index] = generation;
      return result.scanned ? "scan" : "lists";
    };
    /** Of a host's tree to the master's, but for the host's own trace file. */
    const differences = async (index: number) => {
      const { ctx, mirrorRoot } = hosts[index]!;
      const compared = await compareTrees({
        expected: join(master.mirrorRoot, project),
        actual: join(mirrorRoot, project),
      });
      const own = traceFileOf(wants, ctx.identity);
      return compared.differences.filter((line) => !line.startsWith(`/${own}: `));
    };
    const remove = async () => {
      for (const root of [
        upstream.tree,
        master.mirrorRoot,
        ...hosts.map((host) => host.mirrorRoot),
      ])
        await rm(join(root, project), { recursive: true, force: true });
    };
    const hostRoots = hosts.map((host) => join(host.mirrorRoot, project));
    const isPublished = () => !state.unpublished;
    return {
      root: join(upstream.tree, project),
      masterRoot: join(master.mirrorRoot, project),
      hostRoots,
      wants,
      isPublished,
      generation: () => state.generation,
      results,
      pull,
      follow,
      differences,
      remove,
    };
  };
  return { begin };
}
