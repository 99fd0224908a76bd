import { expect, test } from "vitest";
import type { Alert } from "../../../protocol/alert.ts";
import { chatText, plainText, titleOf } from "../../../control-plane/alerts/message-text.ts";

const alert = (change: Partial<Alert> = {}): Alert => ({
  id: "7f8e6a50-1111-4222-8333-444455556666",
  condition: "stale",
  project: "debian",
  host: "ftp1",
  root: null,
  detail: "old",
  openedAt: "2026-11-24T10:00:30.000Z",
  closedAt: null,
  ...change,
});
const message = (alerts: Alert[], change = {}) => ({
  id: "1",
  kind: "opened" as const,
  at: "2026-11-24T10:00:31.000Z",
  alerts,
  total: alerts.length,
  ...change,
});

test("one alert is told in the title, several are counted by what they are", () => {
  expect(titleOf(message([alert()]))).toBe("Alert: debian on ftp1: stale");
  expect(titleOf(message([alert(), alert(), alert({ condition: "disk" })]))).toBe(
    "Alert: 3 alerts (2 stale, 1 disk fills up)",
  );
  expect(titleOf(message([alert()], { kind: "closed" }))).toBe("Over: debian on ftp1: stale");
  expect(titleOf(message([alert()], { kind: "reminder" }))).toBe("Still so: debian on ftp1: stale");
});

test("a line says what, where, since when, and until when", () => {
  const disk = alert({ condition: "disk", project: null, root: "/srv/mirror" });
  expect(plainText(message([disk, alert({ closedAt: "2026-11-24T11:00:00.000Z" })]))).toBe(
    [
      "Alert: 2 alerts (1 disk fills up, 1 stale)",
      "",
      "- /srv/mirror on ftp1: disk fills up, since 2026-11-24 10:00 UTC: old",
      "- debian on ftp1: stale, 2026-11-24 10:00 UTC to 2026-11-24 11:00 UTC: old",
    ].join("\n"),
  );
});

test("of many alerts the first are told and the rest counted, also beyond those that the message holds", () => {
  const many = message(
    Array.from({ length: 200 }, () => alert()),
    { total: 25_000 },
  );
  expect(titleOf(many)).toBe("Alert: 25000 alerts");
  for (const text of [plainText(many), chatText(many)]) {
    expect(text.match(/stale, since/g)).toHaveLength(20);
    expect(text.split("\n").at(-1)).toBe("and 24980 more: mirrorfleet alert list");
    expect(text.length).toBeLessThan(4000);
  }
});

test.each([
  "<!channel> <@U123> <https://evil.example|here>",
  "`` `x` ``` @all @here",
  "a\nb\r\n- c\u2028d",
  "\u001B]8;;https://evil.example\u0007\u202Eabc\u200B",
  "&lt;!channel&gt;",
  "\uD800",
])(
  "hostile words stay within one line of code in a chat, and in one line of text: %j",
  (detail) => {
    const hostile = message([alert({ detail, project: null, root: `/srv/${detail}` })]);
    const chat = chatText(hostile);
    expect(chat.split("\n")).toHaveLength(2);
    expect(chat.split("`")).toHaveLength(5);
    expect(chat).not.toMatch(/[<>\p{Cf}]|&(?!amp;|lt;|gt;)/u);
    const lines = plainText(hostile).split("\n");
    expect(lines).toHaveLength(3);
    for (const line of lines) expect(line).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
    expect(plainText(hostile).isWellFormed()).toBe(true);
  },
);
