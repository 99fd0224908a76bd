import type { Outcome } from "../../protocol/states.ts";
import { tlsFault } from "./tls-proxy.ts";

// rsync(1), "EXIT VALUES".
const meanings: Record<number, [Outcome, string]> = {
  0: ["ok", ""],
  1: ["fatal", "syntax or usage error"],
  2: ["fatal", "protocol incompatibility"],
  3: ["fatal", "errors selecting input or output files"],
  4: ["fatal", "the requested action is not supported"],
  5: ["retryable", "the daemon did not start the transfer"],
  6: ["fatal", "the daemon could not write its log"],
  10: ["retryable", "error in socket I/O"],
  11: ["retryable", "error in file I/O"],
  12: ["retryable", "error in the protocol data stream"],
  13: ["retryable", "error with program diagnostics"],
  14: ["retryable", "error in inter-process communication"],
  20: ["interrupted", "ended by a signal"],
  21: ["retryable", "waitpid failed"],
  22: ["retryable", "out of memory"],
  23: ["partial", "some files could not be transferred"],
  24: ["warning", "some source files vanished during the transfer"],
  25: ["retryable", "the source lost more files between listing and deleting"],
  30: ["retryable", "time-out in data send or receive"],
  35: ["retryable", "time-out waiting for the daemon's connection"],
  126: ["fatal", "rsync cannot be executed: check the setting MIRRORFLEET_RSYNC"],
  127: ["fatal", "rsync is not installed: install it with the system's package manager"],
};

/** Daemon answers and disk errors that will be the same next time, though their code is a transient one's. */
const permanent =
  /auth(entication)? failed|unknown module|access denied|no space left on device|read-only file system|disk quota exceeded/i;

/** The directory itself is missing at the source: no retry makes it. */
const missingSource = /change_dir "[^"]*" \(in [^)]+\) failed: No such file or directory/;
const missingCure =
  "; the source has no such directory: make it on the master where the project is hosted there, else check the upstream's path";

/** A daemon says the same of a module that is not there and of one that it does not show to this address. */
const unknownModule = /unknown module/i;
const unknownModuleCure =
  '; is its name right, and does the daemon admit the address that this host comes from? A master admits those that "mirrorfleet host show" says of the host; "mirrorfleet host set HOST --address" changes them';

/** Classifies rsync's end; `message` is for the administrator and empty when all is well. */
export function classifyExit({ exitCode, stderr }: { exitCode: number; stderr: string }): {
  outcome: Outcome;
  message: string;
} {
  const [usual, meaning] = meanings[exitCode] ?? ["retryable", "unknown exit code"];
  if (usual === "ok") return { outcome: "ok", message: "" };
  const lines = stderr
    .split("\n")
    .map((line) => line.trim())
    .filter(Boolean);
  // The last line is rsync's own summary of the code; the cause stands before it.
  const cause =
    lines.find((line) => line.startsWith(tlsFault) || missingSource.test(line)) ??
    lines.findLast((line) => !/^rsync( error|: \[)?.*\(code \d+\) at /.test(line)) ??
    lines.at(-1);
  const outcome = usual !== "warning" && permanent.test(stderr) ? "fatal" : usual;
  return {
    outcome,
    message: `rsync ${exitCode}: ${meaning}${cause ? `: ${cause}` : ""}`
      .slice(0, 2000)
      .concat(
        missingSource.test(stderr) ? missingCure : "",
        unknownModule.test(stderr) ? unknownModuleCure : "",
      ),
  };
}
