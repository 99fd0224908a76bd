import type { Alert, MessageKind } from "../../protocol/alert.ts";
import type { Message } from "../db/queries/alert-messages.ts";

/** Alerts that are told one by one; of more, how many there are. */
const listed = 20;

const conditionWords: Record<Alert["condition"], string> = {
  failed: "failing",
  stale: "stale",
  "out-of-contact": "out of contact",
  held: "deletions held",
  disk: "disk fills up",
  "no-progress": "no progress",
  cloned: "one key on two machines",
};

const kindWords: Record<MessageKind, string> = {
  opened: "Alert",
  closed: "Over",
  reminder: "Still so",
  test: "Test",
};

/** What an alert is about: "debian on ftp-nyc", "ftp-nyc", "/srv/mirror on ftp-nyc". */
const subjectOf = ({ project, host, root }: Alert) =>
  [project ?? root, host].filter((name) => name !== null).join(" on ");

/** Nothing that a terminal, a header or a line would obey; names of files come from anywhere. */
const plain = (text: string) =>
  text.replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, " ").toWellFormed();

/** Within a line of code neither mentions, links nor formats work in Slack or Mattermost; "<" would begin one before it. */
const code = (text: string) =>
  `\`${plain(text).replaceAll("`", "'").replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;")}\``;

/** A message in one line. */
export function titleOf({ kind, alerts, total }: Message): string {
  if (kind === "test") return "Test: alerts of mirrorfleet arrive here";
  const [first] = alerts;
  if (total === 1 && first)
    return plain(`${kindWords[kind]}: ${subjectOf(first)}: ${conditionWords[first.condition]}`);
  const counts = Map.groupBy(alerts, ({ condition }) => condition);
  const parts = [...counts].map(
    ([condition, some]) => `${some.length} ${conditionWords[condition]}`,
  );
  // Of more alerts than the message holds, the counts would be wrong.
  return `${kindWords[kind]}: ${total} alerts${total === alerts.length ? ` (${parts.join(", ")})` : ""}`;
}

const times = ({ openedAt, closedAt }: Alert) => {
  const minute = (text: string) => `${text.slice(0, 16).replace("T", " ")} UTC`;
  return closedAt === null
    ? `since ${minute(openedAt)}`
    : `${minute(openedAt)} to ${minute(closedAt)}`;
};

function linesOf({ alerts, total }: Message, mark: (text: string) => string): string[] {
  const lines = alerts
    .slice(0, listed)
    .map(
      (alert) =>
        `- ${mark(subjectOf(alert))}: ${conditionWords[alert.condition]}, ${times(alert)}: ${mark(alert.detail)}`,
    );
  const more = total - lines.length;
  return more > 0 ? [...lines, `and ${more} more: mirrorfleet alert list`] : lines;
}

/** A message as plain text. */
export const plainText = (message: Message): string =>
  [titleOf(message), "", ...linesOf(message, plain)].join("\n").trim();

/** A message as the Markdown that Slack and Mattermost have in common; what is hostile in it is inert. */
export function chatText(message: Message): string {
  const { kind, total } = message;
  const title = kind === "test" ? titleOf(message) : `${kindWords[kind]} (${total})`;
  return [`*${title}*`, ...linesOf(message, code)].join("\n");
}
