import { execFile } from "node:child_process";
import { mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import fc from "fast-check";
import { expect, test } from "vitest";
import { buildArgv } from "../../../agent/rsync/argv.ts";
import { noteTaker } from "../../../cli/import/report.ts";
import { readRsync } from "../../../cli/import/rsync-command.ts";
import { kibPerSecond } from "../../../cli/import/rsync-limits.ts";
import { rsyncOptions } from "../../../cli/import/rsync-options.ts";
import { projectCreateSchema } from "../../../protocol/project.ts";
import { parseRsyncUrl, rsyncOptionsSchema } from "../../../protocol/rsync.ts";
import { temporaryDirectory } from "../../helpers/directory.ts";

const source = "rsync://ftp.example.org/debian/";

function read(argv: string[], files: Record<string, string> = {}) {
  const take = noteTaker("it");
  const pull = readRsync({ take, readText: (path) => files[path] ?? null }, { argv });
  return { pull, fields: pull?.fields, rsync: pull?.fields.rsync, notes: take.notes };
}

const why = (argv: string[]) => {
  const { pull, notes } = read(argv);
  expect(pull).toBeNull();
  return notes.map((note) => `${note.what}: ${note.why}`).join("\n");
};

test("a usual mirror's rsync is taken over", () => {
  const argv =
    "-prltvHSB8192 --safe-links --delete-delay --max-delete=40000 --bwlimit=1.5m --timeout 600 -4 --exclude .~tmp~/ --include=/a/b -f".split(
      " ",
    );
  expect(read([...argv, "- *.iso", source, "/srv/mirror/debian/"]).pull).toEqual({
    destination: "/srv/mirror/debian/",
    fields: {
      upstream: source,
      stallSeconds: 600,
      rsync: {
        delete: true,
        hardLinks: true,
        ipVersion: 4,
        bandwidthKiBps: 1536,
        maxDelete: 40_000,
        filters: [
          { action: "exclude", pattern: ".~tmp~/" },
          { action: "include", pattern: "/a/b" },
          { action: "exclude", pattern: "*.iso" },
        ],
      },
    },
  });
});

test.each([
  ["rsync://h.example/m", "rsync://h.example/m/", "/to"],
  ["rsync://user@h.example:8730/m/a/", "rsync://h.example:8730/m/a/", "/to"],
  ["h.example::m/a", "rsync://h.example/m/a/", "/to/a"],
  ["user@h.example::m", "rsync://h.example/m/", "/to"],
  ["[2001:db8::1]::m/", "rsync://[2001:db8::1]/m/", "/to"],
])("the source %s is %s, and comes into %s", (from, upstream, destination) => {
  const { pull } = read(["-a", from, "/to"]);
  expect(pull).toMatchObject({ destination, fields: { upstream } });
});

test.each([
  [["-a", "host.example:/srv/m/", "/to"], "ssh"],
  [["-a", "/from/", "/to"], "does not pull from another host"],
  [["-a", "/from/", "host.example::m"], "does not pull"],
  [["-a", source, "host.example:/to"], "pushes to another host"],
  [["-a", source], "1 operands"],
  [["-an", source, "/to"], "mirrors nothing"],
  [["-t", source, "/to"], "not recursive"],
  [["-a", "-e", "ssh", "h.example::m", "/to"], "shell of its own"],
  [["-au", source, "/to"], "overwritten"],
  [["-a", "--link-dest=/old", source, "/to"], "snapshot"],
  [["-a", "--no-such-thing", source, "/to"], "--no-such-thing: is no option of rsync"],
  [["-a", source, "to"], "relative"],
])("of %j there is no project, and the report says why", (argv, words) => {
  expect(why(argv)).toContain(words);
});

test.each([
  ["without --delete", ["-a"]],
  ["with --max-delete=0", ["-a", "--delete", "--max-delete=0"]],
  ["with a list of excludes that is not here", ["-a", "--delete", "--exclude-from=/not/here"]],
  ["with backups", ["-a", "--delete", "--backup-dir=/old"]],
  ["with -x", ["-ax", "--delete"]],
  ["with rules in the tree", ["-aF", "--delete"]],
  ["with a rule that cannot be taken over", ["-a", "--delete", "-f", "-s foo"]],
  ["with --no-delete at the end", ["-a", "--delete", "--no-delete"]],
])("nothing is ever deleted where the rsync ran %s", (_, argv) => {
  expect(read([...argv, source, "/to"]).rsync).toMatchObject({ delete: false });
});

test("lists of patterns are read as rsync reads them", () => {
  const files = { "/list": "# no\n; no\n\n*.iso\n+ /keep\n- /drop\n", "/merged": "!\nP /mine\n" };
  const argv = [
    "-a",
    "--delete",
    "--exclude=gone",
    "--filter=merge /merged",
    "--exclude-from=/list",
  ];
  expect(read([...argv, source, "/to"], files).rsync).toMatchObject({
    delete: true,
    filters: [
      { action: "exclude", pattern: "/mine" },
      { action: "exclude", pattern: "*.iso" },
      { action: "include", pattern: "/keep" },
      { action: "exclude", pattern: "/drop" },
    ],
  });
});

test("patterns of a source without a slash are seen from within its directory", () => {
  const argv = ["-a", "--delete", "--exclude=/sub/x", "--exclude=/other/y", "--exclude=*.iso"];
  expect(read([...argv, "h.example::m/sub", "/to"]).rsync).toMatchObject({
    delete: true,
    filters: [
      { action: "exclude", pattern: "/x" },
      { action: "exclude", pattern: "*.iso" },
    ],
  });
  const wild = ["-a", "--delete", "--exclude=/*/x", "h.example::m/sub", "/to"];
  expect(read(wild).rsync).toMatchObject({ delete: false });
});

test.each([
  ["0", null],
  ["100", 100],
  ["1.5m", 1536],
  ["1MB", 977],
  ["2g", 2_097_152],
  ["fast", undefined],
])("--bwlimit=%s is %s KiB per second", (rate, kib) => {
  expect(kibPerSecond(rate)).toBe(kib);
});

/** One option, in a form that rsync takes. */
const optionWords: fc.Arbitrary<string[]> = fc
  .constantFrom(...rsyncOptions)
  .chain(([name, { short, value }]) => {
    const forms = (text: string): string[][] => [
      [`--${name}=${text}`],
      [`--${name}`, text],
      ...(short ? [[`-${short}`, text]] : []),
    ];
    const bare = [[`--${name}`], ...(short ? [[`-${short}`]] : [])];
    const text = fc.constantFrom("5", "a b", "-x", "/etc/list", "- *.iso", "--delete", "");
    return value ? text.chain((each) => fc.constantFrom(...forms(each))) : fc.constantFrom(...bare);
  });
const deletes = /^--(del|delete(-before|-during|-delay|-after|-excluded)?)$/;

test("whatever the options: nothing is thrown, what comes out is a project, and it deletes only where --delete stood", () => {
  fc.assert(
    fc.property(fc.array(optionWords, { maxLength: 8 }), (words) => {
      const { fields, rsync } = read(["-a", ...words.flat(), source, "/to"]);
      if (!fields) return;
      const { stallSeconds = 1800, wallClockSeconds = 3600 } = fields;
      projectCreateSchema.parse({ name: "it", ...fields, stallSeconds, wallClockSeconds });
      if (rsync?.delete) expect(words.some(([word = ""]) => deletes.test(word))).toBe(true);
      if (rsync?.delete) expect(words.flat()).not.toContain("--backup");
    }),
    { numRuns: 2000 },
  );
});

test("any words at all are read without a fault", () => {
  fc.assert(
    fc.property(fc.array(fc.string(), { maxLength: 6 }), (argv) => void read(argv)),
    { numRuns: 1000 },
  );
});

const names = fc.constantFrom("a", "b", "c.iso", "d");
const paths = fc.uniqueArray(
  fc.tuple(names, names).map((segments) => segments.join("/")),
  { maxLength: 6 },
);
const patterns = fc.constantFrom(
  "/a",
  "a/",
  "*.iso",
  "b",
  "/a/b",
  "a/c.iso",
  "*",
  "/*/d",
  "+ /a/b",
  "c*",
);
const rules = fc.oneof(
  patterns.map((pattern) => `--exclude=${pattern}`),
  patterns.map((pattern) => `--include=${pattern.replace("+ ", "")}`),
  patterns.map((pattern) => `--filter=P ${pattern.replace("+ ", "")}`),
  patterns.map((pattern) => `--filter=-s ${pattern.replace("+ ", "")}`),
  patterns.map((pattern) => `--filter=H ${pattern.replace("+ ", "")}`),
);
const deletion = fc.constantFrom(
  [],
  ["--delete"],
  ["--del", "--delete-excluded"],
  ["--delete-after"],
);

async function fill(directory: string, files: string[]) {
  for (const path of files) {
    await mkdir(join(directory, path, ".."), { recursive: true });
    await writeFile(join(directory, path), "same");
  }
}
const filesOf = async (directory: string) =>
  (await readdir(directory, { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(directory.length + 1));

test(
  "the agent's rsync never deletes a file that the old rsync left",
  { timeout: 120_000 },
  async () => {
    const run = promisify(execFile);
    let deleted = 0;
    await fc.assert(
      fc.asyncProperty(
        paths,
        paths,
        fc.array(rules, { maxLength: 3 }),
        deletion,
        async (here, there, filters, how) => {
          const directory = await temporaryDirectory();
          const [from, old, ours] = ["from", "old", "ours"].map((name) => join(directory, name));
          for (const each of [from!, old!, ours!]) await mkdir(each);
          await fill(from!, there);
          await fill(old!, here);
          await fill(ours!, here);
          const given = ["-a", ...how, ...filters];
          await run("rsync", [...given, `${from}/`, `${old}/`]);
          const { rsync } = read([...given, source, "/to"]);
          const argv = buildArgv({
            pull: {
              source: parseRsyncUrl(source),
              options: rsyncOptionsSchema.parse(rsync),
              limits: {
                wallClockSeconds: 60,
                stallSeconds: 60,
                maxDeletePercent: 100,
                approvedDeletions: null,
              },
              own: null,
            },
            destination: ours!,
            maxDelete: 1000,
            atOnce: true,
          }).filter((word) => !/^--(contimeout|sockopts)=/.test(word));
          await run("rsync", [...argv.slice(0, -2), `${from}/`, `${ours}/`]);
          const left = await filesOf(ours!);
          const lost = (await filesOf(old!)).filter(
            (path) => here.includes(path) && !left.includes(path),
          );
          deleted += here.filter((path) => !left.includes(path)).length;
          expect(lost).toEqual([]);
        },
      ),
      { numRuns: 25 },
    );
    expect(deleted).toBeGreaterThan(0);
  },
);
