import pg from "pg";

/** A statement and who waits for its answer. */
export type Sent = {
  statement: pg.QueryConfig;
  values: unknown[];
  resolve: (answer: pg.QueryResult) => void;
  /** `isFault`: what failed is this statement. */
  reject: (error: Error, isFault: boolean) => void;
};

type Connection = {
  stream: { destroy?: (error: Error) => void };
  submittedNamedStatements: Record<string, string>;
  parsedStatements: Record<string, string>;
  sync: () => void;
  close: (message: unknown) => void;
};

/** The driver's own query, whose handlers its types leave out. */
type Part = pg.Query & {
  name: string | undefined;
  text: string;
  submit: (connection: Connection) => Error | null;
  handleRowDescription: (message: unknown) => void;
  handleDataRow: (message: unknown) => void;
  handleCommandComplete: (message: unknown, connection: Connection) => void;
  handleReadyForQuery: (connection: Connection) => void;
};

function partOf({ statement, values, resolve, reject }: Sent): Part {
  // Without values the driver would send it in the simple protocol, which ends a transaction.
  const config = { ...statement, queryMode: "extended" };
  const done = (error: Error | undefined, answer: unknown) =>
    error ? reject(error, true) : resolve(answer as pg.QueryResult);
  return new pg.Query(config, values, done) as Part;
}

/**
 * Statements with one Sync behind all of them: outside of a transaction they are one, of which the server runs all or
 * nothing; in one, or where the first begins one, nothing runs after what has failed. None is answered before the end.
 */
export class Together extends pg.Query {
  readonly #sent: Sent[];
  readonly #parts: Part[];
  /** The one that the server is at. */
  #at = 0;
  declare name: string | undefined;
  declare text: string;
  /** Set by the driver where it has a time limit for queries, which ends with this. */
  declare callback: (() => void) | undefined;

  constructor(sent: Sent[]) {
    super({ text: "", queryMode: "extended" } as pg.QueryConfig);
    this.#sent = sent;
    this.#parts = sent.map(partOf);
    this.#point();
  }

  // The driver keeps which statements the server has by the name and text of the query that is answered.
  #point(): void {
    const part = this.#parts[this.#at];
    this.name = part?.name;
    this.text = part?.text ?? "";
  }

  override submit = (connection: pg.Connection): null => {
    const real = connection as unknown as Connection;
    const silent: Connection = Object.create(real, {
      sync: { value: () => undefined },
      // The driver does so where a statement's values cannot be sent: then none may have effect.
      close: { value: () => real.stream.destroy?.(new Error("a statement cannot be sent")) },
    });
    for (const part of this.#parts) {
      const error = part.submit(silent);
      // Nothing has effect without the Sync.
      if (error) real.stream.destroy?.(error);
    }
    real.sync();
    return null;
  };

  handleRowDescription(message: unknown): void {
    this.#parts[this.#at]?.handleRowDescription(message);
  }

  handleDataRow(message: unknown): void {
    this.#parts[this.#at]?.handleDataRow(message);
  }

  handleCommandComplete(message: unknown, connection: Connection): void {
    this.#parts[this.#at]?.handleCommandComplete(message, connection);
    this.#at += 1;
    this.#point();
  }

  handleError(error: Error, connection: Connection): void {
    // The server has skipped those behind it: they are to be named again.
    for (const { name } of this.#parts.slice(this.#at))
      if (name !== undefined && connection.parsedStatements[name] === undefined)
        delete connection.submittedNamedStatements[name];
    // The one at fault first: who waits for all of them hears of that one.
    this.#sent[this.#at]?.reject(error, true);
    for (const { reject } of this.#sent.toSpliced(this.#at, 1)) reject(error, false);
    this.callback?.();
  }

  handleReadyForQuery(connection: Connection): void {
    for (const part of this.#parts) part.handleReadyForQuery(connection);
    this.callback?.();
  }
}
