const windowMilliseconds = 60_000;
/** Subjects of which something is said within a minute: strangers choose them. */
const mostSubjects = 20;

/**
 * A log of what strangers cause: it says something of each subject once a minute at most, and of 20 subjects a
 * minute; the next line tells how often it was silent. `now` is in milliseconds.
 */
export function openSparseLog({
  log,
  now = () => performance.now(),
}: {
  log: (line: string) => void;
  now?: () => number;
}): (input: { subject: string; line: string }) => void {
  // In the order in which they were said.
  const said = new Map<string, number>();
  let silent = 0;
  return ({ subject, line }) => {
    const at = now();
    for (const [each, when] of said) {
      if (at - when < windowMilliseconds) break;
      said.delete(each);
    }
    if (said.has(subject) || said.size >= mostSubjects) {
      silent += 1;
      return;
    }
    said.set(subject, at);
    log(silent === 0 ? line : `${line} (and ${silent} times more since the last such line)`);
    silent = 0;
  };
}
