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
