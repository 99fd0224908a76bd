import type { Database } from "./connect.ts";

/** As many are done at a time, and as many such times run beside each other. */
const [most, beside] = [25, 2];

type Waiting<Input, Output> = {
  input: Input;
  resolve: (output: Output) => void;
  reject: (error: unknown) => void;
};

/**
 * Does together, in this process, what many ask for at a time. Who comes first does not wait for others; those who come
 * while the database is at work are done next, all at once. `work` answers in the order of what it is given; where it
 * fails, it has failed for all of these.
 */
export function gather<Ctx extends { db: Database }, Input, Output>(
  work: (ctx: Ctx, inputs: Input[]) => Promise<Output[]>,
): (ctx: Ctx, input: Input) => Promise<Output> {
  const places = new WeakMap<Database, { waiting: Waiting<Input, Output>[]; running: number }>();
  return (ctx, input) => {
    const place = places.get(ctx.db) ?? { waiting: [], running: 0 };
    places.set(ctx.db, place);
    const run = async (): Promise<void> => {
      place.running += 1;
      const taken = place.waiting.splice(0, most);
      try {
        const outputs = await work(
          ctx,
          taken.map((each) => each.input),
        );
        for (const [index, { resolve }] of taken.entries()) resolve(outputs[index]!);
      } catch (error) {
        for (const { reject } of taken) reject(error);
      }
      place.running -= 1;
      if (place.waiting.length > 0) void run();
    };
    return new Promise((resolve, reject) => {
      place.waiting.push({ input, resolve, reject });
      if (place.running < beside) void run();
    });
  };
}
