/** Runs what it is given: at most so many at a time, the others in the order in which they came. */
type Turns = <Value>(work: () => Promise<Value>) => Promise<Value>;

/** Lets at most `atOnce` pieces of work run at a time; those that wait hold nothing but a promise. */
export function openTurns({ atOnce }: { atOnce: number }): Turns {
  let free = atOnce;
  const waiting: (() => void)[] = [];
  return async (work) => {
    if (free > 0) free -= 1;
    else await new Promise<void>((resolve) => waiting.push(resolve));
    try {
      return await work();
    } finally {
      // The place is handed over, so that nobody who comes meanwhile takes it.
      const next = waiting.shift();
      if (next) next();
      else free += 1;
    }
  };
}
