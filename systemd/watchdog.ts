import type { Notify } from "./notify.ts";
import type { Pulses } from "./pulses.ts";

/**
 * Tells systemd's watchdog that this program works, as often as `environment` asks (WatchdogSec= of the
 * unit), for as long as nothing in `pulses` is late. Returns how to stop.
 */
export function startWatchdog({
  environment,
  notify,
  pulses,
  log,
}: {
  environment: NodeJS.ProcessEnv;
  notify: Notify;
  pulses: Pulses;
  log: (message: string) => void;
}): () => void {
  const microseconds = Number(environment["WATCHDOG_USEC"]);
  const isOurs = [undefined, String(process.pid)].includes(environment["WATCHDOG_PID"]);
  if (!(microseconds > 0) || !isOurs) return () => undefined;
  let said: string | null = null;
  const look = () => {
    const late = pulses.late();
    if (late !== null && late !== said)
      log(`${late} has not been heard of for too long: systemd's watchdog is told no more`);
    said = late;
    if (late === null) void notify("WATCHDOG=1");
  };
  const timer = setInterval(look, microseconds / 1000 / 3);
  return () => clearInterval(timer);
}
