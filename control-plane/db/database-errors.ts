/** An error and what led to it; of several addresses that were tried, all. */
function* chainOf(error: unknown): Generator<Error> {
  for (let at = error; at instanceof Error; at = at.cause) {
    yield at;
    if (at instanceof AggregateError) for (const each of at.errors) yield* chainOf(each);
  }
}

/** The code that Postgres or the connection to it gives an error, wherever in its chain of causes; null: none. */
export function databaseCode(error: unknown): string | null {
  for (const at of chainOf(error)) {
    const { code, syscall } = at as { code?: unknown; syscall?: string };
    // A file's error is none of the database's.
    if (syscall !== undefined && !/^(connect|read|write|getaddrinfo)$/.test(syscall)) continue;
    if (typeof code === "string") return code;
  }
  return null;
}

/** Code of a statement that waited for somebody else's lock as long as it may. */
export const lockNotAvailable = "55P03";

// SQLSTATE classes and codes (Postgres, appendix A), and what the system calls a lost connection.
const troubles: [RegExp, string][] = [
  [/^53100$/, "the database's disk is full"],
  [/^53300$/, "the database has no connection left"],
  [/^53/, "the database has not enough room"],
  [/^25006$/, "the database is read-only"],
  [/^(57P0[1-5]|57014)$/, "the database is stopping or starting"],
  [/^58/, "the database's machine has a fault"],
  [/^(40001|40P01|55P03)$/, "the database was busy with the same rows"],
  [
    /^(08|ECONN|EPIPE|ENOENT|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|ENOTFOUND|EAI_AGAIN)/,
    "the database does not answer",
  ],
];

/** The driver's and our own words of connections, which have no code. */
const lostConnection =
  /^(Connection terminated|timeout exceeded when trying to connect|Client has encountered a connection error|the database has said nothing|this host of DATABASE_URL is a standby)/;

/** Says of a failed statement what is the matter with the database, where sending it again can help; null elsewhere. */
export function databaseTrouble(error: unknown): string | null {
  if ([...chainOf(error)].some(({ message }) => lostConnection.test(message)))
    return "the database does not answer";
  const code = databaseCode(error);
  return code === null ? null : (troubles.find(([codes]) => codes.test(code))?.[1] ?? null);
}
