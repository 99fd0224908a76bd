import { expect, test } from "vitest";
import { importCrontab } from "../../../cli/import/crontab.ts";
import { placeDrafts } from "../../../cli/import/place.ts";
import { readScript } from "../../../cli/import/shell-script.ts";

/** The words and lines of the programs "run" that a script starts. */
const runs = (text: string) =>
  readScript(text)
    .started.filter(({ argv }) => argv[0] === "run")
    .map(({ argv, line }) => [argv.slice(1).join(" "), line]);

test.each([
  ["OUT=$(run a)", [["a", 1]]],
  ["\nOUT=`run a 2>&1`", [["a", 2]]],
  ['echo "it said $(run a | tail -n 1)"', [["a", 1]]],
  ["f() {\n  run $1\n}\nOUT=$(f b)", [["b", 2]]],
  ['local_copy="$(cd /srv;\n run a)"', [["a", 2]]],
  ["if ! OUT=$(run a); then mail; fi", [["a", 1]]],
  ["[[ -n $(run a) ]] && mail", [["a", 1]]],
  ['while [ "$(run a)" != 0 ]; do sleep 60; done', [["a", 1]]],
  ["for x in $(run a); do echo $x; done", [["a", 1]]],
  ["case $(run a) in *b) echo;; esac", [["a", 1]]],
  ["while read x; do echo $x; done < <(run a)", [["a", 1]]],
  ["mail <<END\n\n$(run a)\nEND", [["a", 3]]],
  ["grep x <<<$(run a)", [["a", 1]]],
  [
    "export OUT=$(run a) B=$(run b)",
    [
      ["a", 1],
      ["b", 1],
    ],
  ],
  ["A=($(run a) b)", [["a", 1]]],
  ["N=$(( $(run a) + 1 ))", [["a", 1]]],
  ["A=${B:-$(run a)}", [["a", 1]]],
  [
    "run $(run inner)",
    [
      ["inner", 1],
      ["\uE000", 1],
    ],
  ],
  ["echo `echo \\`run a\\``", [["a", 1]]],
  ["\n\neval run a", [["a", 3]]],
  ["CMD=\"run 'a b'\"; eval $CMD", [["a b", 1]]],
  ['X=a; eval "run \\$X"', [["a", 1]]],
  ["D=a; eval 'D=b'; run $D", [["b", 1]]],
  ["coproc run a", [["a", 1]]],
])("what a shell runs to make a command's words is read: %s", (text, started) => {
  expect(runs(text)).toEqual(started);
});

test.each([
  "echo '$(run a)'",
  'echo "\\$(run a)"',
  "cat <<'END'\n$(run a)\nEND",
  "f() { x=$(run a); }",
])("what is quoted, or never called, starts nothing: %s", (text) => {
  expect(runs(text)).toEqual([]);
});

test("what a substitution sets, and where it goes, is its own", () => {
  const { started } = readScript("cd /srv/a; D=x; OUT=$(cd /srv/b; D=y; run $D); run $D");
  expect(started).toMatchObject([
    { argv: ["run", "y"], directory: "/srv/b" },
    { argv: ["run", "x"], directory: "/srv/a" },
  ]);
});

test("what may be run, or not, stands in a way of its own", () => {
  const { started } = readScript("run a; X=${Y:-$(run b)}; Z=$(run c)");
  expect(started.map(({ way }) => way === null)).toEqual([true, false, true]);
});

test.each([
  ['\neval "$CMD"', 2],
  ["read -r OPTS; eval run $OPTS", 1],
  ['eval "$(cat /etc/mirror/commands)"', 1],
  ["eval 'if run a'", 1],
  ['CMD=\'eval "$CMD"\'; eval "$CMD"', 1],
])("an eval that only a run would tell is named with its line: %s", (text, line) => {
  const { unread } = readScript(text);
  expect([...unread.keys()]).toEqual([line]);
  expect(runs(text)).toEqual([]);
});

test.each(['eval "$(ssh-agent -s)"', 'eval set -- "$OPTS"', "eval `dircolors`"])(
  "what is evaluated for other things is not: %s",
  (text) => {
    expect(readScript(text).unread.size).toBe(0);
  },
);

/** Projects and notes of a script that a crontab starts daily. */
function imported(script: string) {
  const files = [
    { path: "/etc/cron.d/mirror", text: "17 4 * * * mirror /usr/local/bin/mirror.sh\n" },
    { path: "/usr/local/bin/mirror.sh", text: script },
  ];
  const options = { zone: "UTC", system: false, readText: () => null };
  const { drafts, notes } = importCrontab(files, options);
  const placed = placeDrafts(drafts, { roots: ["/srv/mirror"], notes });
  return {
    projects: placed.projects.map(({ path, name, schedule, upstream, rsync }) => ({
      path: path ?? name,
      schedule,
      upstream,
      deletes: rsync?.delete,
    })),
    impossible: placed.notes.filter(({ kind }) => kind === "impossible"),
  };
}

test("a script that keeps what rsync says, to send it by mail, becomes its project", () => {
  const { projects, impossible } = imported(`#!/bin/bash
LOG=/var/log/mirror.log
SRC=rsync://ftp.example.org/debian/
DST=/srv/mirror/debian
if ! OUTPUT=$(nice -n 19 rsync -aH --delete-after --timeout=600 \\
    --exclude=.~tmp~/ "$SRC" "$DST" 2>&1); then
  echo "$OUTPUT" | mail -s "mirror failed" root
fi
echo "$(date): $OUTPUT" >>"$LOG"
`);
  expect(impossible).toEqual([]);
  expect(projects).toEqual([
    {
      path: "debian",
      schedule: "17 4 * * *",
      upstream: "rsync://ftp.example.org/debian/",
      deletes: true,
    },
  ]);
});

test("a dry run that is asked first mirrors nothing, and what may follow it deletes nothing more", () => {
  const { projects, impossible } = imported(`#!/bin/sh
SRC=rsync://ftp.example.org/gnu/
DST=/srv/mirror/gnu/
n=\`rsync -an --delete $SRC $DST | grep -c deleting\`
if [ "$n" -gt 1000 ]; then
  rsync -a $SRC $DST
else
  rsync -a --delete $SRC $DST
fi
`);
  expect(projects).toMatchObject([{ path: "gnu", deletes: false }]);
  expect(impossible).toMatchObject([
    { about: "mirror.sh, line 4", why: expect.stringContaining("mirrors nothing") },
  ]);
});

test("commands that are put together and evaluated are taken over where they are certain, else named", () => {
  const { projects, impossible } = imported(`#!/bin/bash
OPTS="-rlptH --delete --exclude='*.iso'"
for module in arch fedora; do
  eval "rsync $OPTS rsync://ftp.example.org/$module/ /srv/mirror/$module/"
done
while read -r module extra; do
  eval "rsync -a $extra rsync://ftp.example.org/$module/ /srv/mirror/$module/"
done </etc/mirror/modules
`);
  expect(projects).toMatchObject([
    { path: "arch", deletes: true },
    { path: "fedora", deletes: true },
  ]);
  expect(impossible).toMatchObject([
    {
      about: "mirror.sh, line 7",
      what: expect.stringContaining('eval "rsync -a $extra'),
      why: expect.stringContaining("only a run tells what this starts"),
    },
  ]);
});

test("an rsync in a substitution whose words are not known is named with its line", () => {
  const { projects, impossible } = imported(`#!/bin/sh
host=$(shuf -n 1 /etc/mirror/upstreams)
out="$(
  rsync -a --delete rsync://$host/cpan/ /srv/mirror/cpan/
)"
`);
  expect(projects).toEqual([]);
  expect(impossible).toEqual(
    expect.arrayContaining([expect.objectContaining({ about: "mirror.sh, line 4" })]),
  );
});
