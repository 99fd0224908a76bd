import type { Database } from "./connect.ts";

type Statement<Answer> = { execute: () => Promise<Answer> };
type Statements<Answers extends unknown[]> = { [K in keyof Answers]: Statement<Answers[K]> };

/** Sends statements of which none waits for what another answers: in a transaction they run in this order. */
export function atOnce<Answers extends unknown[]>(
  statements: Statements<Answers>,
): Promise<Answers> {
  return Promise.all(
    statements.map((statement: Statement<unknown>) => statement.execute()),
  ) as Promise<Answers>;
}

/** The same as a transaction of their own, of which nothing is waited for but its end. */
export async function transactAtOnce<Answers extends unknown[]>(
  db: Database,
  statements: (tx: Database) => Statements<Answers>,
): Promise<Answers> {
  const { answers } = await db.transaction(async (tx) => {
    const answering = atOnce(statements(tx));
    // Who waits for them below hears of it; what has failed is not committed.
    answering.catch(() => undefined);
    return { answers: answering };
  });
  return answers;
}
