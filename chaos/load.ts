import { randomUUID } from "node:crypto";
import { mkdirSync, readdirSync, renameSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Fleet } from "./fleet.ts";
import { type History, now } from "./history.ts";
import type { Random } from "./random.ts";

/** `everySeconds` null: only when triggered. A limited bandwidth makes rsyncs that faults can meet. */
export const projects = [
  { name: "alpha", everySeconds: 3, files: 40, bytes: 2000, bandwidthKiBps: null, overlap: "skip" },
  {
    name: "beta",
    everySeconds: 5,
    files: 8,
    bytes: 300_000,
    bandwidthKiBps: 250,
    overlap: "queue-one",
  },
  {
    name: "gamma",
    everySeconds: null,
    files: 30,
    bytes: 20_000,
    bandwidthKiBps: 150,
    overlap: "skip",
  },
] as const;

let writes = 0;

/** Puts a file in its place, as mirrors see it: a new one under the name, never as long or as old as before. */
function put(
  random: Random,
  { directory, name, bytes }: { directory: string; name: string; bytes: number },
) {
  writes += 1;
  const path = join(directory, name);
  const line = `${name} ${writes} ${random.next()}\n`;
  const text = line.repeat(Math.ceil((bytes * random.between(0.5, 1.5)) / line.length));
  writeFileSync(`${path}.new`, `${text}${"x".repeat(writes % 97)}`);
  const at = Math.floor(Date.now() / 1000) - 100_000 + writes;
  utimesSync(`${path}.new`, at, at);
  renameSync(`${path}.new`, path);
}

/** Fills the upstream's trees. */
export function makeTrees(random: Random, { tree }: { tree: string }): void {
  for (const { name, files, bytes } of projects) {
    const directory = join(tree, name);
    mkdirSync(directory);
    for (let index = 0; index < files; index++)
      put(random, { directory, name: `file-${index}`, bytes });
  }
}

function mutate(random: Random, { tree }: { tree: string }): void {
  const { name, files, bytes } = random.pick(projects);
  const directory = join(tree, name);
  const present = readdirSync(directory);
  const kind = random.next();
  if (kind < 0.2 && present.length > files / 2) rmSync(join(directory, random.pick(present)));
  else if (kind < 0.3)
    renameSync(join(directory, random.pick(present)), join(directory, `renamed-${writes++}`));
  else
    put(random, { directory, name: `file-${Math.floor(random.between(0, files * 1.5))}`, bytes });
}

/** Sends a trigger until it is answered, or five times: each time with the same key. */
async function trigger(
  fleet: Fleet,
  { project, token, history }: { project: string; token: string; history: History },
): Promise<void> {
  const sent = { project, key: randomUUID(), asked: now(), runIds: [] as string[] };
  history.triggers.push(sent);
  const send = async () => {
    const response = await fetch(`${fleet.operators.url}/v1/projects/${project}/sync`, {
      method: "POST",
      headers: { authorization: `Bearer ${token}`, "idempotency-key": sent.key },
      signal: AbortSignal.timeout(5000),
    });
    if (!response.ok) throw new Error(`answered ${response.status}`);
    sent.runIds.push(((await response.json()) as { id: string }).id);
  };
  for (let tries = 0; tries < 5 && sent.runIds.length === 0; tries++)
    await send().catch(() => sleep(700));
  // Once more, though it was answered.
  if (sent.asked % 3 < 1) await send().catch(() => undefined);
}

async function cancelSome(fleet: Fleet, { random }: { random: Random }): Promise<void> {
  const headers = { authorization: `Bearer ${fleet.token}` };
  const response = await fetch(`${fleet.operators.url}/v1/runs?state=running`, {
    headers,
    signal: AbortSignal.timeout(5000),
  });
  const { items } = (await response.json()) as { items: { id: string }[] };
  if (items.length === 0) return;
  await fetch(`${fleet.operators.url}/v1/runs/${random.pick(items).id}/cancel`, {
    method: "POST",
    headers,
    signal: AbortSignal.timeout(5000),
  });
}

/** Triggers, cancels and changes the upstream until told to stop; returns when nothing is under way. */
export async function putUnderLoad(
  fleet: Fleet,
  { random, history, signal }: { random: Random; history: History; signal: AbortSignal },
): Promise<void> {
  const push = await fleet.client.createToken({ name: "push", scope: "trigger:gamma" });
  const pending = new Set<Promise<unknown>>();
  const start = (work: Promise<unknown>) => {
    const done = work.catch(() => undefined).finally(() => pending.delete(done));
    pending.add(done);
  };
  while (!signal.aborted) {
    await sleep(random.between(100, 700), undefined, { signal }).catch(() => undefined);
    mutate(random, fleet.upstream);
    const dice = random.next();
    if (dice < 0.3)
      start(trigger(fleet, { project: random.pick(projects).name, token: fleet.token, history }));
    else if (dice < 0.45) start(trigger(fleet, { project: "gamma", token: push.token, history }));
    else if (dice < 0.5) start(cancelSome(fleet, { random }));
  }
  await Promise.all(pending);
}
