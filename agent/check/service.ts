import { existsSync } from "node:fs";
import { execa } from "execa";
import { fail, type Finding, ok, warn } from "./outcome.ts";

const unit = "mirrorfleet-agent";

const ask = async (verb: "is-active" | "is-enabled") =>
  (await execa("systemctl", [verb, unit], { reject: false, timeout: 10_000 })).stdout ?? "";

/** Does systemd run the agent, and will it after the next start of the machine? @throws AppError. */
export async function checkService(): Promise<Finding> {
  if (!existsSync("/run/systemd/system"))
    return warn("there is no systemd here: see to it that mirrorfleet-agent run is started");
  const [active, enabled] = [await ask("is-active"), await ask("is-enabled")];
  if (enabled === "" || enabled === "not-found")
    return warn(`there is no unit ${unit}: see to it that mirrorfleet-agent run is started`);
  if (active !== "active")
    throw fail(
      `${unit} is ${active || "not running"}: systemctl start ${unit}; "journalctl -u ${unit} -n 20" tells why it ended`,
    );
  if (enabled !== "enabled")
    throw fail(`runs, and is ${enabled} at the machine's next start: systemctl enable ${unit}`);
  return ok("runs, and will after the machine's next start");
}
