/** What must be heard of again in time, or the program is stuck. */
export type Pulses = {
  /** `name` is to be heard of again within so many seconds. */
  expect: (name: string, seconds: number) => void;
  /** `name` has ended: nothing more is expected of it. */
  forget: (name: string) => void;
  /** The first that is late; null where none is. */
  late: () => string | null;
};

/** `now` answers seconds of a clock that nobody sets. */
export function openPulses({ now = () => performance.now() / 1000 } = {}): Pulses {
  const deadlines = new Map<string, number>();
  return {
    expect: (name, seconds) => deadlines.set(name, now() + seconds),
    forget: (name) => deadlines.delete(name),
    late: () => {
      for (const [name, deadline] of deadlines) if (deadline < now()) return name;
      return null;
    },
  };
}
