import fc from "fast-check";
import { expect, test } from "vitest";
import { formatRsyncUrl, parseRsyncUrl, sourceSchema } from "../../protocol/rsync.ts";

const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
const word = (extra: string) =>
  fc
    .tuple(
      fc.constantFrom(...letters.split("")),
      fc.string({ unit: fc.constantFrom(...`${letters}${extra}`.split("")), maxLength: 12 }),
    )
    .map(([first, rest]) => first + rest);

test("a URL that is written and read again names the same source", () => {
  fc.assert(
    fc.property(
      fc.record({
        host: fc.oneof(
          word("").map((name) => `${name}.example.org`),
          fc.ipV4(),
          fc.ipV6(),
        ),
        port: fc.integer({ min: 1, max: 65_535 }),
        module: word("_-"),
        path: fc.option(
          fc
            .array(word("_+@=,:^~-"), { minLength: 1, maxLength: 4 })
            .map((names) => names.join("/")),
        ),
        user: fc.constant(null),
        tls: fc.constantFrom(true, undefined),
      }),
      (source) => {
        const checked = sourceSchema.safeParse(source);
        if (!checked.success) return;
        expect(parseRsyncUrl(formatRsyncUrl(checked.data))).toEqual(checked.data);
      },
    ),
  );
});

test("whatever text is given, a URL is refused with its cause or names a source that passes the schema", () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string({ unit: "binary" }),
        fc
          .array(
            fc.constantFrom(
              "rsync://",
              "rsyncs://",
              "a",
              "-",
              "/",
              ":",
              "@",
              "[",
              "]",
              "..",
              " ",
              "\n",
              "\0",
              "873",
            ),
          )
          .map((parts) => `rsync://${parts.join("")}`),
      ),
      (text) => {
        let source;
        try {
          source = parseRsyncUrl(text);
        } catch (error) {
          expect(error).toMatchObject({
            code: "invalid-input",
            fields: [{ field: "upstream", message: expect.any(String) }],
          });
          return;
        }
        expect(sourceSchema.safeParse(source).success).toBe(true);
      },
    ),
    { numRuns: 3000 },
  );
});

test.each([
  ["rsync://-e/module", "names no valid host"],
  ["rsync://host/-module", "names no valid rsync module"],
  ["rsync://ho st/module", "names no valid host"],
  ["rsync://$(reboot)/module", "names no valid host"],
  ["rsync://host/mod\nule", "names no valid rsync module"],
  ["rsync://host/module/../etc", 'no ".."'],
  ["rsync://host/module/a\0b", "plain segments"],
  ["rsync://host:0/module", "port must be from 1 to 65535"],
  ["rsync://host:70000/module", "port must be from 1 to 65535"],
  ["rsync://host:http/module", "port must be a whole number"],
  ["rsync://user:password@host/module", "must not hold a user name or password"],
  ["rsync://[::1/module", "must be an rsync URL"],
  ["rsync://::1/module", "names no valid host"],
  ["https://host/module", "must be an rsync URL"],
])("%j is refused: %s", (url, message) => {
  expect(() => parseRsyncUrl(url)).toThrow(message);
});
