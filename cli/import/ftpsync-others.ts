import type { NoteTaker } from "./report.ts";
import type { Variables } from "./shell-words.ts";

/** What ftpsync did besides, and what does it here. */
const instead: Record<string, ["changed" | "impossible", string]> = {
  MAILTO: ["changed", "mail comes from alerts: mirrorfleet alert receivers"],
  ERRORSONLY: ["changed", "alerts tell of failures only"],
  FULLLOGS: ["changed", "whole logs are kept by the control plane: mirrorfleet logs"],
  LOGDIR: ["changed", "logs are kept by the control plane: mirrorfleet logs"],
  LOG: ["changed", "logs are kept by the control plane: mirrorfleet logs"],
  LOGROTATE: ["changed", "the control plane removes old logs: mirrorfleet settings"],
  HUB: [
    "changed",
    "FTP hosts of the fleet are told by themselves; mirrors outside it are not pushed to",
  ],
  RSYNC_PROXY: ["impossible", "no proxy is used: let the master reach its upstream"],
  RSYNC_OPTIONS1: ["changed", "what comes last is that of rsync.indexesLast: debian"],
  UIPSLEEP: [
    "changed",
    "whether the upstream is within an update is not asked: rsync.indexesLast keeps the tree whole",
  ],
  UIPRETRIES: [
    "changed",
    "whether the upstream is within an update is not asked: rsync.indexesLast keeps the tree whole",
  ],
  RSYNC: ["changed", "the agent's own rsync is used"],
  RSYNC_SSL_CAPATH: [
    "changed",
    "certificates are checked with the master's own authorities, or the agent's SSL_CERT_FILE or SSL_CERT_DIR",
  ],
  RSYNC_SSL_METHOD: ["changed", "the agent makes TLS connections by itself"],
  LOCK: ["changed", "the agent's own lock is used"],
  UPDATEREQUIRED: ["changed", "a trigger that comes during a sync becomes a further one"],
  TRACEHOST: ["changed", "the trace names the host by its name here"],
  EXTENDEDTRACE: ["changed", "trace.style is debian, which is the full one"],
  CALLBACKUSER: ["impossible", "nobody is called back: let the upstream read the status feeds"],
  CALLBACKHOST: ["impossible", "nobody is called back: let the upstream read the status feeds"],
  CALLBACKKEY: ["impossible", "nobody is called back: let the upstream read the status feeds"],
  LOCKTIMEOUT: ["changed", "a limit of time is wallClockSeconds"],
  ...Object.fromEntries(
    [1, 2, 3, 4, 5].map((hook) => [
      `HOOK${hook}`,
      ["impossible", "no program runs beside a sync: ask for events by alerts"] as const,
    ]),
  ),
  ...Object.fromEntries(
    ["MAINTAINER", "SPONSOR", "COUNTRY", "LOCATION", "THROUGHPUT"].map((name) => [
      `INFO_${name}`,
      ["changed", "who runs the mirror is said once for the fleet: mirrorfleet settings"] as const,
    ]),
  ),
};

/** What ftpsync.ts and ftpsync-argv.ts read. */
const read = new Set(
  "MIRRORNAME TO TRACE RSYNC_HOST RSYNC_PATH RSYNC_USER RSYNC_PASSWORD RSYNC_TRANSPORT RSYNC_SSL RSYNC_SSL_PORT RSYNC_EXTRA RSYNC_BW RSYNC_OPTIONS RSYNC_OPTIONS2 RSYNC_FILTER EXCLUDE SOURCE_EXCLUDE ARCH_INCLUDE ARCH_EXCLUDE * @".split(
    " ",
  ),
);

/** Says what becomes of what is not read, and names what is not known. */
export function noteOthers(variables: Variables, take: NoteTaker): void {
  for (const [name, [kind, why]] of Object.entries(instead))
    if (variables.get(name)) take[kind](name, why);
  const others = [...variables.keys()].filter((name) => !read.has(name) && !(name in instead));
  if (others.length > 0)
    take.changed(
      others.join(", "),
      "no setting of ftpsync that is known here: it counts only where others use it",
    );
}
