export type Ends = {
  add: (end: () => Promise<unknown>) => void;
  /** Runs them all, last first, also those that are added meanwhile. @throws what failed, after the others. */
  run: () => Promise<void>;
};

/** What must be done in the end, whatever happens. */
export function collectEnds(): Ends {
  const ends: (() => Promise<unknown>)[] = [];
  return {
    add: (end) => void ends.push(end),
    run: async () => {
      const failures: unknown[] = [];
      for (let end = ends.pop(); end; end = ends.pop())
        await end().catch((error: unknown) => failures.push(error));
      if (failures.length > 0) throw new AggregateError(failures, failures.map(String).join("; "));
    },
  };
}
