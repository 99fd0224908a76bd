import { execFile } from "node:child_process";
import { promisify } from "node:util";

/** Tells systemd assignments such as `READY=1`; see sd_notify(3). Where it cannot, `log` says why. */
export type Notify = (...assignments: string[]) => Promise<void>;

/** Milliseconds that systemd has to take a message. */
const patience = 10_000;

/**
 * Opens the way to the service manager that `environment` names, and takes it out of there: children must not
 * speak for this service. Node has no datagram sockets of the Unix kind, so systemd's own program sends, which
 * needs `NotifyAccess=all`. Answers something that does nothing where no service manager asks.
 */
export function openNotify({
  environment,
  log,
}: {
  environment: NodeJS.ProcessEnv;
  log: (message: string) => void;
}): Notify {
  const { NOTIFY_SOCKET: socket, PATH: path } = environment;
  delete environment["NOTIFY_SOCKET"];
  if (socket === undefined || socket === "") return async () => undefined;
  const env = { NOTIFY_SOCKET: socket, PATH: path ?? "/usr/bin:/bin" };
  return async (...assignments) => {
    await promisify(execFile)("systemd-notify", assignments, { env, timeout: patience }).catch(
      (error: Error) => log(`cannot tell systemd ${assignments[0]}: ${error.message}`),
    );
  };
}
