import type { Result } from "../../protocol/report.ts";
import type { Outcome } from "../../protocol/states.ts";

type Words = { meaning: string; advice: string };

const trySoon =
  "It is tried again by itself; if it stays so, try the source by hand from that host.";

const byOutcome: Record<Outcome, Words> = {
  ok: { meaning: "Everything was brought over.", advice: "" },
  warning: {
    meaning: "Some files vanished from the source while it was read.",
    advice: "Usual with a busy upstream; the next sync brings what came instead.",
  },
  partial: {
    meaning: "Some files could not be transferred.",
    advice: "The log names them: often files that the source may not read itself.",
  },
  retryable: { meaning: "The transfer broke off.", advice: trySoon },
  fatal: {
    meaning: "It cannot work as it is.",
    advice: "Read the message and the log: a retry alone does not help.",
  },
  held: {
    meaning: "More would have been deleted than is allowed without asking; nothing was deleted.",
    advice: "Look at the paths. Approve if the upstream meant it; else leave the files.",
  },
  refused: {
    meaning: "The agent's own policy does not allow this order.",
    advice: "Change the agent's settings on that host, or the project.",
  },
  timeout: {
    meaning: "It took longer than a sync of this project may.",
    advice: "Raise the time limit if the tree is that large; else look at rate and source.",
  },
  stalled: {
    meaning: "Nothing moved for so long that it was ended.",
    advice: "The source or the network hung. " + trySoon,
  },
  interrupted: { meaning: "The agent or the host stopped meanwhile.", advice: trySoon },
  cancelled: { meaning: "An operator cancelled it.", advice: "Retry when you like." },
};

/** rsync(1), "EXIT VALUES": where a code says more than the outcome does. */
const byExitCode: Record<number, Words> = {
  1: {
    meaning: "rsync did not understand its options.",
    advice: "Its version on that host is too old: 3.2 or newer is needed.",
  },
  2: {
    meaning: "The two rsyncs do not understand each other.",
    advice: "Compare the versions of rsync on both ends.",
  },
  5: {
    meaning: "The daemon did not begin the transfer.",
    advice: "It is full, or wants a login, or has no such module: the log has its answer.",
  },
  10: {
    meaning: "The connection broke or was refused.",
    advice: "Is the source up, and its port open from that host? " + trySoon,
  },
  11: {
    meaning: "A file could not be read or written.",
    advice: "Look at disk space, quota and file system of that host.",
  },
  12: {
    meaning: "The stream from the other rsync broke.",
    advice: "Often the other end was killed, or its disk is full. " + trySoon,
  },
  22: { meaning: "rsync ran out of memory.", advice: "Give that host more, or split the project." },
  23: byOutcome.partial,
  24: byOutcome.warning,
  30: { meaning: "No data came for too long.", advice: trySoon },
  35: { meaning: "The daemon did not answer in time.", advice: trySoon },
};

/** What a result means, and what to do about it. */
export function explain({ outcome, exitCode }: Result): Words {
  const usual = byOutcome[outcome];
  const isRsyncs = outcome === "retryable" || outcome === "fatal" || outcome === "partial";
  return (isRsyncs && exitCode !== null && byExitCode[exitCode]) || usual;
}
