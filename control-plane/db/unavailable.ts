/** SQLSTATE classes and codes of a database that is away, or no primary at the moment: the next try may succeed. */
const passingStates = /^(08...|57P0[1-5]|53300|25006|40001|40P01)$/;
/** Of the network. */
const networkCodes = new Set([
  "ECONNREFUSED",
  "ECONNRESET",
  "EPIPE",
  "ETIMEDOUT",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "ENOENT",
  "ENOTFOUND",
  "EAI_AGAIN",
]);
/** The driver's and our own words, which have no code. */
const passingWords =
  /^(Connection terminated|timeout exceeded when trying to connect|Client has encountered a connection error|the database has said nothing|this host of DATABASE_URL is a standby)/;

/** Did a query fail because the database could not be reached, or had to end it? Looks through the causes. */
export function isUnavailable(error: unknown): boolean {
  for (let at = error; at instanceof Error; at = at.cause) {
    const { code, syscall } = at as NodeJS.ErrnoException;
    if (code !== undefined && passingStates.test(code)) return true;
    if (code !== undefined && networkCodes.has(code) && syscall !== "open") return true;
    if (passingWords.test(at.message)) return true;
    // Several addresses of one name were tried.
    if (at instanceof AggregateError && at.errors.some(isUnavailable)) return true;
  }
  return false;
}
