import { expect, test } from "vitest";
import { checkPolicy, parseSourceRule } from "../../agent/policy.ts";
import {
  parseRsyncUrl,
  rsyncOptionNames,
  rsyncOptionsSchema,
  type Source,
} from "../../protocol/rsync.ts";
import { syncSpec } from "../helpers/rsync.ts";

const check = (rules: string[], url: string) =>
  checkPolicy(
    { sources: rules.map(parseSourceRule), options: [...rsyncOptionNames] },
    {
      sync: syncSpec({
        port: 1,
        steps: [
          {
            sources: [{ source: parseRsyncUrl(url), sealedPassword: null }],
            destination: "debian",
            sentinel: null,
          },
        ],
      }),
    },
  );

test.each([
  ["rsync://*", "rsync://any.example.org:1873/module/path/"],
  ["rsync://ftp.example.org/", "rsync://ftp.example.org/debian/"],
  ["rsync://FTP.example.org", "rsync://ftp.EXAMPLE.org/debian/"],
  ["rsync://ftp.example.org/debian/", "rsync://ftp.example.org/debian/"],
  ["rsync://ftp.example.org/debian/", "rsync://ftp.example.org/debian/dists/"],
  ["rsync://ftp.example.org/debian/dists/", "rsync://ftp.example.org/debian/dists/sid/"],
])("the rule %s allows %s", (rule, url) => {
  expect(() => check([rule], url)).not.toThrow();
});

test.each([
  ["rsync://ftp.example.org/", "rsync://ftp.example.org.evil.example/debian/"],
  ["rsync://ftp.example.org/", "rsync://ftp.example.org:1873/debian/"],
  ["rsync://ftp.example.org/debian/", "rsync://ftp.example.org/debian-evil/"],
  ["rsync://ftp.example.org/debian/dists/", "rsync://ftp.example.org/debian/"],
  ["rsync://ftp.example.org/debian/dists/", "rsync://ftp.example.org/debian/dists-evil/"],
])("the rule %s does not allow %s, and the refusal names the setting", (rule, url) => {
  expect(() => check([rule], url)).toThrow(
    expect.objectContaining({
      code: "order-refused",
      message: expect.stringContaining("MIRRORFLEET_SOURCES"),
    }),
  );
});

test("a source with a key that the order names is the same place by TLS, and a rule can ask for TLS", () => {
  const order = (tls: Source["tls"]) => {
    const source = { ...parseRsyncUrl("rsync://192.0.2.1:8873/mirror/"), ...(tls && { tls }) };
    const step = { sources: [{ source, sealedPassword: null }], destination: "d", sentinel: null };
    return { sync: syncSpec({ port: 1, steps: [step] }) };
  };
  const policy = (rule: string) => ({ sources: [parseSourceRule(rule)], options: [] });
  const pinned = { keySha256: "0".repeat(64) };
  for (const scheme of ["rsync", "rsyncs"])
    for (const place of ["", "mirror/"])
      checkPolicy(policy(`${scheme}://192.0.2.1:8873/${place}`), order(pinned));
  const refused = (rule: string, tls: Source["tls"]) =>
    expect(() => checkPolicy(policy(rule), order(tls))).toThrow("not allowed on this host");
  refused("rsyncs://192.0.2.1:8873/", undefined);
  refused("rsync://192.0.2.1:8873/", true);
  refused("rsync://192.0.2.2:8873/", pinned);
});

test("without a rule nothing is allowed", () => {
  expect(() => check([], "rsync://ftp.example.org/debian/")).toThrow("not allowed on this host");
});

test("an option that the host's policy does not list is refused unless it has its default", () => {
  const policy = { sources: [parseSourceRule("rsync://*")], options: ["hardLinks" as const] };
  const order = (options: object) => ({
    sync: syncSpec({ port: 1, options: rsyncOptionsSchema.parse(options) }),
  });
  expect(() => checkPolicy(policy, order({}))).not.toThrow();
  expect(() => checkPolicy(policy, order({ hardLinks: false }))).not.toThrow();
  expect(() => checkPolicy(policy, order({ delete: false }))).toThrow(
    'rsync option "delete" is not allowed on this host: to allow it, add it to MIRRORFLEET_OPTIONS',
  );
});
