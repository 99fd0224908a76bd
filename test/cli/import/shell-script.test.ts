import { existsSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { expect, test } from "vitest";
import { findRsync } from "../../../cli/import/find-rsync.ts";
import { readScript } from "../../../cli/import/shell-script.ts";
import { unknown } from "../../../cli/import/shell-words.ts";
import { temporaryDirectory } from "../../helpers/directory.ts";

const words = (text: string) => readScript(text).started.map(({ argv }) => argv);

test.each([
  ["A=one; run $A", [["run", "one"]]],
  ['A="one two"; run $A "$A" \'$A\'', [["run", "one", "two", "one two", "$A"]]],
  ["A=(x 'y z'); A+=(w); run \"${A[@]}\"", [["run", "x", "y z", "w"]]],
  ["A=a; A+=b; run ${A}c ${B:-d}", [["run", "abc", "d"]]],
  ["run *.iso --x=\\*", [["run", "*.iso", "--x=*"]]],
  [
    "for x in a b; do run $x; done",
    [
      ["run", "a"],
      ["run", "b"],
    ],
  ],
  ["f() { run \"$2\" $1; }\nf a 'b c'", [["run", "b c", "a"]]],
  [
    "if test -e x; then run a; else run b; fi",
    [
      ["test", "-e", "x"],
      ["run", "a"],
      ["run", "b"],
    ],
  ],
  [
    "run a && run b | run c",
    [
      ["run", "a"],
      ["run", "b"],
      ["run", "c"],
    ],
  ],
  ["run a \\\n  b # comment", [["run", "a", "b"]]],
])("%s", (text, started) => {
  expect(words(text)).toEqual(started);
});

test.each([
  "run $A",
  "run $(date)",
  "run `date`",
  "run {a,b}",
  "A=x; if true; then A=y; fi; run $A",
  "A=$(cat f); run $A",
  "run ~/x",
])("what only a run tells is not guessed: %s", (text) => {
  expect(words(text).at(-1)!.join(" ")).toContain(unknown);
});

test.each([
  ["after &&", 'D=""; test 7 && D=--delete; run $D'],
  ["after ||", "D=/b; test x && D=/a || D=/b; run $D"],
  ["after && in a list", "O=(-a); test x && O+=(--delete); run ${O[@]}"],
  ["in a loop that goes on", "D=/a; while read x; do run $D; D=/b; done"],
  ["in a loop that ends early", "for x in a b; do D=$x; test y && break; done; run $D"],
  ["in a function that ends early", "f() { D=/a; test y && return; D=/b; }; f; run $D"],
  ["in another file", 'E=""; . /etc/excludes.sh; run $E'],
  ["in another file alone", ". ./settings; run ${E:-/srv}"],
  ["in an eval", 'E=""; eval "$(cat x)"; run $E'],
  ["by read", 'E=""; read -r E </etc/x; run $E'],
  ["by unset", "E=x; unset E; run $E"],
  ["by mapfile", "E=(x); mapfile -t E <x; run ${E[@]}"],
  ["by getopts", "OPTARG=x; getopts d: o; run $OPTARG"],
  ["by printf", "E=x; printf -v E %s y; run $E"],
  ["in arithmetic", "E=1; ((E++)); run $E"],
  ["at one place of a list", "A=x; A[1]=y; run $A"],
  ["by who starts it", "P=${1:-debian}; run $P"],
  [
    "by a function that calls itself",
    "E=x; f() { f; f; while y; do f; f; done; E=$E; }; f; run $E",
  ],
  ["after a word that may be none", "f() { run $2; }; f $X a"],
])("what is set %s is not known", (_, text) => {
  expect(
    words(text)
      .find(([name]) => name === "run")!
      .join(" "),
  ).toContain(unknown);
});

test.each([
  ["E=x; f() { local E=; run in; }; f; run $E", ["run", "x"]],
  ["E=x; f() { local E; E=y; }; f; run $E", ["run", "x"]],
  ["E=x; (E=y); E=$E; run $E", ["run", "x"]],
  ["E=x; echo y | read E; run $E", ["run", "x"]],
  ["E=x; { E=y; } & run $E", ["run", "x"]],
  ["f() { E=x; }; f; run $E", ["run", "x"]],
  ['E=""; : "${E:=x}"; run $E', ["run", "x"]],
  ["set -- a b; shift; run $1 ${2-c}", ["run", "b", "c"]],
])("the shell's scopes are kept: %s", (text, last) => {
  expect(words(text).at(-1)).toEqual(last);
});

test.each([
  ["cd /srv/a; if test x; then cd /srv/b; fi; run", undefined],
  ["cd /srv/a; test x && cd /srv/b; run", undefined],
  ["cd /srv/a; f() { test x || cd /srv/b; }; f; run", undefined],
  ["(cd /srv/c; true); run", undefined],
  ["cd /srv/a; (cd /srv/c); run", "/srv/a"],
  ["cd /srv/a; pushd /srv/b; run", "/srv/b"],
  ["mkdir -p /srv/a && cd /srv/a && run || exit 1", "/srv/a"],
  ["f() { cd /srv/a; }; f; run", "/srv/a"],
])("the directory is only known where it is certain: %s", (text, directory) => {
  expect(readScript(text).started.find(({ argv }) => argv[0] === "run")).toMatchObject({
    directory,
  });
});

test("an environment and positional parameters that are given go before defaults", () => {
  const variables = new Map<string, string | string[]>([
    ["DEST", "/srv/real"],
    ["@", ["fedora"]],
  ]);
  const text = "D=${DEST:-/srv/default}; run ${1:-debian} $2 $D";
  expect(readScript(text, { variables }).started[0]!.argv).toEqual(["run", "fedora", "/srv/real"]);
});

test("a program finds in its environment what was exported, or stands before it", () => {
  const { started } = readScript("A=1; B=2; export B; C=3 run");
  expect(started[0]!.environment).toEqual(new Map(Object.entries({ B: "2", C: "3" })));
});

test("nothing in a script is run", async () => {
  const file = join(await temporaryDirectory(), "made");
  const text = `A=$(touch ${file}); \`touch ${file}\`; touch ${file}; [[ -n $(touch ${file}) ]]`;
  readScript(text);
  expect(existsSync(file)).toBe(false);
});

test("quoted words come out as a shell would give them to a program", () => {
  const quoted = (word: string) => `'${word.replaceAll("'", String.raw`'\''`)}'`;
  const word = fc.string({ unit: fc.constantFrom(...Array.from("ab'\"$`\\*? \n#&;|<>(){}~=!é")) });
  fc.assert(
    fc.property(fc.array(word, { maxLength: 5 }), (list) => {
      expect(words(["run", ...list.map(quoted)].join(" "))).toEqual([["run", ...list]]);
    }),
    { numRuns: 500 },
  );
});

test("any text is read without a fault", () => {
  const piece = fc.constantFrom(
    "rsync",
    " ",
    "eval ",
    "`",
    "<(",
    "${A:-",
    "$(",
    ")",
    "{",
    "}",
    "if",
    "then",
    "fi",
    '"',
    "'",
    "\n",
    "$A",
    "f()",
    "f",
    "while",
    "do",
    "done",
    "&&",
    "||",
    "local A=",
    ";",
    "<<E",
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 20 }), (pieces) => void readScript(pieces.join(""))),
    { numRuns: 1000 },
  );
});

test.each([
  ["rsync -a x y", ["-a", "x", "y"], null],
  ["/usr/bin/rsync-ssl --type=openssl -a x y", ["-a", "x", "y"], null],
  ["flock -n /l nice -n 19 /usr/bin/rsync -a x y", ["-a", "x", "y"], "flock -n /l nice -n 19"],
  ["flock /l -c 'rsync -a x y'", ["-a", "x", "y"], "flock /l -c"],
])("the rsync of %s is found", (text, argv, wrapper) => {
  expect(readScript(text).started.flatMap(findRsync)).toMatchObject([{ argv, wrapper }]);
});

test.each(["echo rsync -a x y", "ssh host rsync -a x y", "grep rsync log"])(
  "%s runs none",
  (text) => {
    expect(readScript(text).started.flatMap(findRsync)).toEqual([]);
  },
);
