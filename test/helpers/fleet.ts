import { decodeJwt } from "jose";
import { afterEach, beforeEach } from "vitest";
import type { PollAnswer } from "../../protocol/fleet.ts";
import type { z } from "zod";
import type { projectCreateSchema } from "../../protocol/project.ts";
import type { Result } from "../../protocol/report.ts";
import {
  enrolAgent,
  report,
  startControlPlane,
  type TestAgent,
  testResult,
} from "./control-plane.ts";
import { createTestDatabase, type TestConnection } from "./database.ts";

export type TestFleet = Awaited<ReturnType<typeof startControlPlane<TestConnection>>> & {
  master: TestAgent;
  ftp1: TestAgent;
  ftp2: TestAgent;
};

/** Before each test: a control plane on a database of its own, with a master and two FTP hosts. */
export function useFleet(): { current: TestFleet } {
  const holder = {} as { current: TestFleet };
  let drop: () => Promise<void>;
  beforeEach(async () => {
    const database = await createTestDatabase();
    drop = database.drop;
    const controlPlane = await startControlPlane({ connection: database.connection });
    holder.current = {
      ...controlPlane,
      master: await enrolAgent(controlPlane, { name: "master", role: "master" }),
      ftp1: await enrolAgent(controlPlane, { name: "ftp1", role: "ftp" }),
      ftp2: await enrolAgent(controlPlane, { name: "ftp2", role: "ftp" }),
    };
  });
  afterEach(async () => {
    await holder.current.close();
    await drop();
  });
  return holder;
}

export async function createProject(
  { operate }: TestFleet,
  input: Partial<z.input<typeof projectCreateSchema>> = {},
) {
  return operate("POST", "/v1/projects", {
    name: "debian",
    upstream: "rsync://upstream.example.org/debian",
    ...input,
  });
}

export async function trigger({ operate }: TestFleet, body?: unknown) {
  return (await operate("POST", "/v1/projects/debian/sync", body)).body;
}

/** Opens a lease's order without checking it. */
export function openLease({ lease }: PollAnswer) {
  if (!lease) throw new Error("the poll brought no lease");
  const claims = decodeJwt<any>(lease.order);
  return {
    taskId: String(claims.sub),
    attempt: Number(claims.attempt),
    sync: claims.sync,
    token: lease.taskToken,
  };
}

/** Polls as this agent and answers the order with a result. */
export async function work(
  fleet: TestFleet,
  { agent, result = {} }: { agent: TestAgent; result?: Partial<Result> },
) {
  const lease = openLease(await agent.poll());
  const answer = await report(fleet, { ...lease, kind: "result", body: testResult(result) });
  return { ...lease, answer };
}

export async function listRuns({ operate }: TestFleet) {
  return (await operate("GET", "/v1/runs")).body.items;
}

export async function readRun({ operate }: TestFleet, { id }: { id: string }) {
  return (await operate("GET", `/v1/runs/${id}`)).body;
}
