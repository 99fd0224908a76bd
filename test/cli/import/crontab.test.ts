import { expect, test } from "vitest";
import { placeDrafts } from "../../../cli/import/place.ts";
import { crontabEntries, importCrontab } from "../../../cli/import/crontab.ts";
import { cronEvery, cronOf } from "../../../cli/import/schedule.ts";

test("lines, variables, comments and per cent signs are read as cron reads them", () => {
  const text =
    '# no\nCRON_TZ="Europe/Berlin"\nMAILTO=a\n\n*/5 1-3 * jan mon-fri  rsync --log=a\\%b x%input\n@daily run\nnonsense\n';
  const zone = "Europe/Berlin";
  const variables = new Map(Object.entries({ CRON_TZ: zone, MAILTO: "a" }));
  expect(crontabEntries(text, { system: false })).toEqual([
    { when: "*/5 1-3 * jan mon-fri", command: "rsync --log=a%b x", zone, variables },
    { when: "@daily", command: "run", zone, variables },
  ]);
  expect(crontabEntries("1 2 * * * root run it", { system: true })).toEqual([
    { when: "1 2 * * *", command: "run it", zone: null, variables: new Map() },
  ]);
});

test.each([
  ["@weekly", "0 0 * * 0"],
  ["5  4 * * sun", "5 4 * * sun"],
  ["@reboot", null],
  ["0~30 * * * *", null],
  ["61 * * * *", null],
  ["0 0 30 2 *", null],
])("the time %s is the schedule %s", (time, schedule) => {
  expect(cronOf(time)).toBe(schedule);
});

test.each([
  [1, "*/1 * * * *", true],
  [7, "*/10 * * * *", false],
  [45, "0 * * * *", false],
  [60, "0 * * * *", true],
  [100, "0 */2 * * *", false],
  [720, "0 */12 * * *", true],
  [1000, "0 0 * * *", false],
  [1440, "0 0 * * *", true],
  [10_080, "0 0 * * 0", true],
])("every %i minutes is %s, and never more often", (minutes, schedule, exact) => {
  expect(cronEvery(minutes)).toEqual({ schedule, exact });
});

/** Destinations and schedules of what a crontab and a script become. */
const destinations = (crontab: string, script: string) =>
  importCrontab(
    [
      { path: "crontab.txt", text: crontab },
      { path: "/usr/local/bin/sync.sh", text: `#!/bin/sh\n${script}\n` },
    ],
    { zone: "UTC", system: false, readText: () => null },
  ).drafts.map(({ destination, fields }) => [destination, fields.schedule]);

const byWord = 'P=${1:-debian}; rsync -a "rsync://h.example/$P/" "/srv/$P"';
const byVariable = "DEST=${DEST:-/srv/default}; rsync -a rsync://h.example/arch/ $DEST || exit 1";

test.each([
  ["1 * * * * sync.sh fedora", byWord, [["/srv/fedora", "1 * * * *"]]],
  ["1 * * * * sync.sh", byWord, [["/srv/debian", "1 * * * *"]]],
  [
    "1 * * * * flock -n /l sh /usr/local/bin/sync.sh fedora",
    byWord,
    [["/srv/fedora", "1 * * * *"]],
  ],
  [
    "1 * * * * sync.sh fedora\n2 * * * * sync.sh arch",
    byWord,
    [
      ["/srv/fedora", "1 * * * *"],
      ["/srv/arch", "2 * * * *"],
    ],
  ],
  ["1 * * * * sync.sh a\n2 * * * * sync.sh a", byWord, [["/srv/a", "1 * * * *"]]],
  ["1 * * * * sync.sh $(cat word)", byWord, []],
  ["1 * * * * su -c 'sync.sh fedora'", byWord, []],
  ["1 * * * * other", byWord, []],
  ["DEST=/srv/real\n1 * * * * sync.sh", byVariable, [["/srv/real", "1 * * * *"]]],
  ["1 * * * * DEST=/srv/real sync.sh", byVariable, [["/srv/real", "1 * * * *"]]],
  ["1 * * * * env DEST=/srv/real sync.sh", byVariable, [["/srv/real", "1 * * * *"]]],
  ["1 * * * * DEST=/srv/own; sync.sh", byVariable, [["/srv/default", "1 * * * *"]]],
  ["1 * * * * . /etc/mirror; sync.sh", byVariable, []],
])(
  "a script is read with the words and variables of the line that starts it: %s",
  (line, script, made) => {
    expect(destinations(line, script)).toEqual(made);
  },
);

const plain = "rsync -a rsync://h.example/m/ /srv/m/";
const deleting = "rsync -a --delete rsync://h.example/m/ /srv/m/";
const excluding = "rsync -a --delete --exclude=/local rsync://h.example/m/ /srv/m/";

test.each([
  [`if daily; then ${plain}; else ${deleting}; fi`, false],
  [`if daily; then ${excluding}; else ${deleting}; fi`, false],
  [`${plain}; [ "$(date +%u)" = 7 ] && ${deleting}`, false],
  [`case $1 in a) ${deleting};; b) ${plain};; esac`, false],
  [`if free; then ${plain}; ${deleting}; fi`, true],
  [`${plain} && ${deleting}`, true],
  [`${plain} || exit 1; ${deleting}`, true],
  [`[ -d /srv/m ] && ${plain} && ${deleting}`, true],
  [`if free; then ${deleting}; else ${deleting}; fi`, true],
])("two rsyncs of one directory delete only where they run together: %s", (script, deletes) => {
  const files = [{ path: "sync.sh", text: `#!/bin/sh\n${script}\n` }];
  const { drafts, notes } = importCrontab(files, {
    zone: "UTC",
    system: false,
    readText: () => null,
  });
  const { projects } = placeDrafts(drafts, { roots: ["/srv"], notes });
  expect(projects.map(({ name, rsync }) => [name, rsync?.delete])).toEqual([["m", deletes]]);
});
