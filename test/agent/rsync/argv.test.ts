import fc from "fast-check";
import { expect, test } from "vitest";
import { buildArgv } from "../../../agent/rsync/argv.ts";
import { rsyncOptionsSchema, sourceSchema } from "../../../protocol/rsync.ts";
import { pullOf, syncSpec } from "../../helpers/rsync.ts";

const text = fc.string({ unit: "binary", maxLength: 30 });
const nasty = fc.oneof(
  text,
  fc.constantFrom(
    "-e",
    "--rsh=sh",
    "--",
    "a b",
    "$(reboot)",
    "..",
    "a\nb",
    "a\0b",
    "*",
    "[::1]",
    "::1",
    "debian",
  ),
);

test("whatever passes the schemas, only known options stand before -- and two operands behind it", () => {
  let built = 0;
  fc.assert(
    fc.property(
      fc.record({
        host: nasty,
        module: nasty,
        path: fc.option(nasty),
        user: fc.option(nasty),
        port: fc.integer({ min: -1, max: 70_000 }),
      }),
      fc.array(fc.record({ action: fc.constantFrom("include", "exclude"), pattern: nasty })),
      fc.oneof(fc.constantFrom("list" as const, null), fc.integer({ min: 0, max: 1_000_000 })),
      (source, filters, maxDelete) => {
        const checked = sourceSchema.safeParse({
          ...source,
          ...(Math.abs(source.port) % 2
            ? { host: "a.example", module: "m", path: null, user: null, port: 873 }
            : {}),
        });
        const options = rsyncOptionsSchema.safeParse({ filters });
        if (!checked.success || !options.success) return;
        built += 1;
        const argv = buildArgv({
          pull: { ...pullOf(syncSpec({ port: 1 })), source: checked.data, options: options.data },
          destination: "/srv/mirror/debian",
          maxDelete,
          atOnce: false,
        });
        const end = argv.indexOf("--");
        expect(argv.slice(0, end).every((argument) => /^--[a-z-]+(=|$)/.test(argument))).toBe(true);
        expect(argv.slice(end + 1)).toEqual([
          expect.stringMatching(/^rsync:\/\//),
          "/srv/mirror/debian/",
        ]);
        expect(argv.join("")).not.toMatch(/[\0\n\r]/);
        expect(
          argv
            .filter((argument) => argument.startsWith("--filter="))
            .map((argument) => argument.slice("--filter=".length)),
        ).toEqual(
          options.data.filters.map(
            ({ action, pattern }) => `${action === "include" ? "+" : "-"} ${pattern}`,
          ),
        );
      },
    ),
    { numRuns: 2000 },
  );
  expect(built).toBeGreaterThan(100);
});

test.each([
  [true, "--filter=-p /project/trace/ftp1"],
  [false, "--filter=-rp /project/trace/ftp1"],
])("a host's own file comes before all other filters (alone: %j)", (alone, expected) => {
  const options = rsyncOptionsSchema.parse({
    filters: [{ action: "include", pattern: "/project/***" }],
  });
  const argv = buildArgv({
    pull: {
      ...pullOf(syncSpec({ port: 1, options })),
      own: { path: "project/trace/ftp1", alone },
    },
    destination: "/srv/x",
    maxDelete: 0,
    atOnce: false,
    without: ["Release*"],
  });
  expect(argv.filter((argument) => argument.startsWith("--filter="))).toEqual([
    expected,
    "--filter=- Release*",
    "--filter=+ /project/***",
  ]);
});

test("without delete there is neither --delete nor a limit of deletions", () => {
  const options = rsyncOptionsSchema.parse({ delete: false });
  const argv = buildArgv({
    pull: pullOf(syncSpec({ port: 1, options })),
    destination: "/srv/x",
    maxDelete: 0,
    atOnce: false,
  });
  expect(argv.filter((argument) => argument.includes("delete"))).toEqual([]);
});
