import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { hasEnded, type Program, startProgram, stopPrograms } from "../demo/processes.ts";

export type Service = {
  name: string;
  /** Sends a signal; the supervisor starts it again where that ended it. */
  signal: (signal: NodeJS.Signals) => void;
  /** Ends it for good. */
  stop: () => Promise<void>;
};

/** Milliseconds until a service that has ended is started again, as systemd does. */
const restartMilliseconds = 500;

/** Runs a program and starts it again whenever it ends. */
export function supervise(
  ctx: { note: (what: string) => void },
  input: Parameters<typeof startProgram>[0],
): Service {
  let program: Program;
  let wanted = true;
  const ended = async () => {
    if (!hasEnded(program)) await once(program.child, "exit");
    return program.child.exitCode ?? program.child.signalCode;
  };
  const run = async () => {
    for (;;) {
      program = startProgram(input);
      const status = await ended();
      if (!wanted) return;
      ctx.note(`${input.name} ended (${status})`);
      await sleep(restartMilliseconds);
    }
  };
  const running = run();
  return {
    name: input.name,
    signal: (signal) => {
      if (!hasEnded(program)) program.child.kill(signal);
    },
    stop: async () => {
      wanted = false;
      if (!hasEnded(program)) program.child.kill("SIGCONT");
      await stopPrograms([program]);
      await running;
    },
  };
}
