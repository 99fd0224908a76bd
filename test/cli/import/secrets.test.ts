import { expect, test } from "vitest";
import { importCrontab } from "../../../cli/import/crontab.ts";
import { reportText } from "../../../cli/import/report.ts";
import { withoutSecrets } from "../../../cli/import/secrets.ts";
import { draftOfMirror, readTunasync } from "../../../cli/import/tunasync.ts";

test.each([
  ["RSYNC_PASSWORD=hunter2 rsync", "RSYNC_PASSWORD=… rsync"],
  ["A_TOKEN='hunter 2' x api_key=hunter2;y", "A_TOKEN=… x api_key=…"],
  ['PASS="hunter 2"', "PASS=…"],
  ["env RSYNC_PASSWORD=…: left out", "env RSYNC_PASSWORD=…: left out"],
  ["rsync://joe:hunter@2@h.example/m x", "rsync://joe@h.example/m x"],
  ["joe:hunter2@h.example::m", "joe@h.example::m"],
  ["sshpass -p hunter2 ssh", "sshpass -p … ssh"],
  [
    "rsync://joe@h.example:873/a@b --password-file=/p",
    "rsync://joe@h.example:873/a@b --password-file=/p",
  ],
])("of %s is shown %s", (text, shown) => {
  expect(withoutSecrets(text)).toBe(shown);
});

test.each([
  "env RSYNC_PASSWORD='hunter 2' rsync -a --delete rsync://h.example/m/ /srv/m/",
  "RSYNC_PASSWORD=hunter2 rsync -a $X rsync://h.example/m/ /srv/m/",
  "RSYNC_PASSWORD=hunter2 something",
  "rsync -a rsync://joe:hunter2@h.example/m/ /srv/m/",
  "rsync -a joe:hunter2@h.example::m/ /srv/m/",
  "rsync -a rsync://joe:hunter2@h.example/m/ relative",
  `rsync -a ${"--exclude=aaaaaaa ".repeat(10)} rsync://joe:hunter2${"2".repeat(200)}@h.example/m/ relative`,
  "rsync -a -e 'sshpass -p hunter2 ssh' h.example:m/ /srv/m/",
])("no password comes into the report or the projects: %s", (command) => {
  const { drafts, notes } = importCrontab(
    [{ path: "crontab.txt", text: `PASSWORD=hunter2\n1 2 * * * ${command}\n` }],
    { zone: "UTC", system: false, readText: () => null },
  );
  const all = [...notes, ...drafts.flatMap(({ take }) => take.notes)];
  expect(all.length).toBeGreaterThan(0);
  expect(reportText({ projects: [], notes: all }, { file: "f" })).not.toContain("hunter");
  expect(
    JSON.stringify(drafts.map(({ name, destination, fields }) => [name, destination, fields])),
  ).not.toContain("hunter");
});

test("arguments of a tunasync command are not shown", () => {
  const file = readTunasync(
    '[[mirrors]]\nname = "x"\nprovider = "command"\ncommand = "/opt/sync.sh --password hunter2"',
  );
  const { take } = draftOfMirror(file.mirrors[0]!, { file, readText: () => null });
  expect(reportText({ projects: [], notes: take.notes }, { file: "f" })).toMatch(
    /^(?!.*hunter).*command = "\/opt\/sync.sh …"/s,
  );
});
