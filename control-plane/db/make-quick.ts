import type { Writable } from "node:stream";
import type pg from "pg";
import { type Sent, Together } from "./together.ts";

type Statement = pg.QueryConfig;
type Send = (statement: unknown, ...rest: unknown[]) => Promise<pg.QueryResult>;

/** A connection that takes statements which are one transaction. */
export type QuickClient = pg.PoolClient & { sendTogether: (sent: Sent[]) => void };

/** The driver's own, which its types leave out; a platform without node:net cannot hold writes back. */
type Inside = { processID: number | null; connection: { stream: Partial<Writable> } };

/** Name of a statement that begins with one as a comment. Such a text must be constant, and literal in what indexes are for. */
const nameOf = (text: string) => /^\s*\/\* ([a-z ]+) \*\//.exec(text)?.[1];

/** Everything that is written while the program does one thing goes out at once: system calls are what costs. */
function holdBack({ connection: { stream } }: Inside): () => void {
  let held = false;
  return () => {
    if (held || !stream.cork) return;
    held = true;
    stream.cork();
    setImmediate(() => {
      held = false;
      stream.uncork!();
    });
  };
}

/**
 * Holds a transaction's begin until the statements are there that are sent after it while the program does one thing,
 * and sends them with one Sync: without a begin that has succeeded, none has effect. Those that come later wait for its
 * answer. `add` is to take what comes while `isOpen`.
 */
function holdBegin({ send, fail }: { send: (sent: Sent[]) => void; fail: (error: Error) => void }) {
  let waiting: Sent[] | null = null;
  const take = (): Sent[] => {
    const taken = waiting ?? [];
    waiting = null;
    return taken;
  };
  return {
    isOpen: () => waiting !== null,
    add: (sent: Sent) => waiting!.push(sent),
    begin: (statement: Statement) => {
      const resolve = () => {
        const sent = take();
        if (sent.length > 0) send(sent);
      };
      const reject = (error: Error, isFault: boolean) => {
        // It has begun, and something else has failed: what comes fails, too, or ends it.
        if (!isFault) return resolve();
        for (const each of take()) each.reject(error, false);
        fail(error);
      };
      waiting = [];
      setImmediate(() => {
        const sent = take();
        waiting = [];
        send([{ statement, values: [], resolve, reject }, ...sent]);
      });
    },
  };
}

/**
 * Makes a new connection quick. What is sent in one go travels in one go, a transaction's begin with its first
 * statements, and a commit fails where the server has undone all instead: it does not call that an error. The server
 * keeps the plans of statements that have a name, unless it is a pooler that answers: that tells process ids of its own
 * making, and may pass each transaction to another server.
 */
export function makeQuick(client: pg.PoolClient): void {
  const inside = client as unknown as Inside;
  const send = client.query.bind(client) as unknown as Send;
  const hold = holdBack(inside);
  let keepsPlans = false;
  send("select pg_backend_pid() as pid").then(
    ({ rows }) => (keepsPlans = rows[0].pid === inside.processID),
    // It has ended: whoever uses it hears of that.
    () => undefined,
  );
  const named = (statement: Statement): Statement => {
    const name = keepsPlans ? (statement.name ?? nameOf(statement.text)) : undefined;
    return { ...statement, name } as Statement;
  };
  const sendTogether = (sent: Sent[]) => {
    hold();
    const all = sent.map((each) => ({ ...each, statement: named(each.statement) }));
    void send(new Together(all));
  };
  const opening = holdBegin({
    send: sendTogether,
    fail: (error) => inside.connection.stream.destroy?.(error),
  });
  const commit = async (statement: Statement, values?: unknown[]) => {
    const answer = await send(statement, values);
    if (answer.command === "ROLLBACK")
      throw new Error("the transaction was undone, as a statement in it had failed");
    return answer;
  };
  (client as QuickClient).sendTogether = sendTogether;
  client.query = ((statement: string | Statement, values?: unknown[], ...rest: unknown[]) => {
    const config = typeof statement === "string" ? { text: statement } : statement;
    if (/^begin\b/.test(config.text)) {
      opening.begin(config);
      return Promise.resolve({ rows: [], fields: [] });
    }
    if (opening.isOpen())
      return new Promise((resolve, reject) =>
        opening.add({ statement: config, values: values ?? [], resolve, reject }),
      );
    hold();
    if (config.text === "commit") return commit(config, values);
    return typeof statement === "string"
      ? send(statement, values, ...rest)
      : send(named(config), values, ...rest);
  }) as typeof client.query;
}
