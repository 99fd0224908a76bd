import { readdir, readFile } from "node:fs/promises";
import { decodeJwt } from "jose";
import { expect, test } from "vitest";
import { z } from "zod";
import { operations } from "../../control-plane/http/operations.ts";
import { daemonUsersSchema, enrolAnswerSchema, pollAnswerSchema } from "../../protocol/fleet.ts";
import { orderClaimsSchema } from "../../protocol/order.ts";
import { heartbeatAnswerSchema, logAnswerSchema } from "../../protocol/report.ts";
import { standingOrdersSchema, standingTicketSchema } from "../../protocol/standing.ts";

/** What agents and a control plane of an earlier release said to each other in a sync of two hosts, as it went over the wire. */
type Exchange = { method: string; path: string; body: string; status: number; answer: string };

const place = new URL("../fixtures/protocol/", import.meta.url);
const releases = (await readdir(place)).map((name) => name.replace(/\.json$/, ""));

const exchangesOf = async (release: string): Promise<Exchange[]> =>
  JSON.parse(await readFile(new URL(`${release}.json`, place), "utf8"));

/** How an agent of now reads the answers. */
const answers: Record<string, z.ZodType> = {
  enrol: enrolAnswerSchema,
  poll: pollAnswerSchema,
  heartbeat: heartbeatAnswerSchema,
  appendTaskLog: logAnswerSchema,
  getDaemonUsers: daemonUsersSchema,
  getStandingOrders: standingOrdersSchema,
  reportStandingRun: standingTicketSchema,
  followTaskKeys: z.object({ token: z.string() }),
};

function operationOf({ method, path }: Exchange) {
  const plain = path.replace(/\?.*$/, "");
  const found = operations.find(
    ({ declaration }) =>
      declaration.method === method &&
      new RegExp(`^${declaration.path.replaceAll(/\{\w+\}/g, "[^/]+")}$`).test(plain),
  );
  if (!found) throw new Error(`there is no ${method} ${path} any more`);
  return found.declaration;
}

test.each(releases)("what agents of %s send is understood as it is", async (release) => {
  const exchanges = await exchangesOf(release);
  expect(exchanges.map((each) => operationOf(each).id)).toEqual(
    expect.arrayContaining(["enrol", "poll", "finishTask"]),
  );
  for (const each of exchanges) {
    const { body: schema, id } = operationOf(each);
    if (schema) expect(schema.safeParse(JSON.parse(each.body)).error?.issues, id).toBeUndefined();
  }
});

test.each(releases)(
  "what a control plane of %s answers is understood by agents of now",
  async (release) => {
    for (const each of await exchangesOf(release)) {
      const { id } = operationOf(each);
      const schema = answers[id];
      if (!schema || each.status >= 400) continue;
      const read = schema.safeParse(JSON.parse(each.answer));
      expect(read.error?.issues, id).toBeUndefined();
      const lease = id === "poll" && (read.data as z.infer<typeof pollAnswerSchema>).lease;
      if (lease) orderClaimsSchema.parse(decodeJwt(lease.order));
    }
  },
);
