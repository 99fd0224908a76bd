import type { Writable } from "node:stream";
import type pg from "pg";

type Statement = { text: string; name?: string | undefined };
type Send = (statement: string | Statement, ...rest: unknown[]) => Promise<pg.QueryResult>;

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
 * Makes a new connection quick. What is sent in one go travels in one go, a transaction's begin with its first
 * statement. The server keeps the plans of statements that have a name, unless it is a pooler that answers: that
 * tells process ids of its own making, and may pass each transaction to another server.
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
  const begin = async (statement: Statement) => {
    // Without it nothing that follows may have effect.
    send(statement).catch((error: Error) => inside.connection.stream.destroy?.(error));
    return { rows: [], fields: [] };
  };
  client.query = ((statement: string | Statement, ...rest: unknown[]) => {
    hold();
    if (typeof statement === "string") return send(statement, ...rest);
    if (statement.text === "begin") return begin(statement);
    const name = keepsPlans ? (statement.name ?? nameOf(statement.text)) : undefined;
    return send({ ...statement, name }, ...rest);
  }) as typeof client.query;
}
