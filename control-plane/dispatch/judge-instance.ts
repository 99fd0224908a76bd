import type { Instance } from "../../protocol/instance.ts";
import type { AgentProcess, Instances } from "../db/schema/hosts.ts";

export type Judgement =
  /** The process that is known, or one that does not say. */
  | { kind: "known" }
  /** Another one; a late delivery of what a process sent that has ended since looks the same. */
  | { kind: "ask"; confirm: string }
  /** One that comes after those that are known, as after each restart. */
  | { kind: "next"; instances: Instances }
  /** One that was replaced, and goes on beside the one that replaced it. */
  | { kind: "cloned"; processes: [AgentProcess, AgentProcess] };

/** As many of them are remembered: more than an agent that crashes at each start makes in the time that a signed poll is valid. */
const remembered = 64;

/**
 * Says what a poll of a process means. A process that another one has replaced can only speak again where
 * both live: on a copy of the disk, or of the state directory. Since polls may be late, and repeated by
 * proxies, nothing follows from a poll but a question; only who repeats its answer is alive after that. Pure.
 */
export function judgeInstance(
  known: Instances | null,
  {
    instance,
    confirmed,
    now,
    newConfirm,
  }: { instance: Instance | null; confirmed: string | null; now: string; newConfirm: string },
): Judgement {
  if (instance === null || instance.id === known?.current.id) return { kind: "known" };
  const process: AgentProcess = { ...instance, since: now };
  if (known === null)
    return { kind: "next", instances: { current: process, before: [], confirm: newConfirm } };
  if (confirmed !== known.confirm) return { kind: "ask", confirm: known.confirm };
  const earlier = known.before.find(({ id }) => id === instance.id);
  if (earlier) return { kind: "cloned", processes: [earlier, known.current] };
  const before = [known.current, ...known.before].slice(0, remembered);
  return { kind: "next", instances: { current: process, before, confirm: newConfirm } };
}

const processText = ({ machine, machineId, bootId, since }: AgentProcess) =>
  `${machine} (machine ${machineId ?? "unknown"}, boot ${bootId?.slice(0, 8) ?? "unknown"}, since ${since.slice(0, 19)}Z)`;

/** Which two processes have one host's key, for people. */
export const clonedText = ([one, other]: [AgentProcess, AgentProcess]): string =>
  `two agents have its key and speak by turns: ${processText(one)} and ${processText(other)}`;
