import { expect, test } from "vitest";
import { debianTrace, isBy, serialOf, timestamp } from "../../agent/trace-text.ts";
import { nothingDone } from "../../protocol/report.ts";
import { version } from "../../protocol/version.ts";

const source = { host: "ftp.example.org", port: 873, module: "debian", path: null, user: null };
const stats = {
  files: 9,
  created: 1,
  deleted: 0,
  transferred: 1,
  totalBytes: 5000,
  transferredBytes: 4000,
  literalBytes: 4000,
  matchedBytes: 0,
  sentBytes: 100,
  receivedBytes: 4200,
};
const usual = {
  startedAt: new Date("2026-11-05T04:03:50.900Z"),
  endedAt: new Date("2026-11-05T04:03:55.100Z"),
  host: "ftp-nyc",
  hostId: "6a2f41a3-c54c-4c2e-9f0b-0c2a30c39f5b",
  sources: [source],
  serial: "2026110501",
  report: { stats, seconds: 4.2 },
};

test("a Debian trace file has the keys and the forms of ftpsync's", () => {
  expect(debianTrace(usual)).toBe(
    [
      "Thu Nov  5 04:03:55 UTC 2026",
      "Date: Thu, 05 Nov 2026 04:03:55 +0000",
      "Date-Started: Thu, 05 Nov 2026 04:03:50 +0000",
      "Archive serial: 2026110501",
      `Creator: mirrorfleet-agent ${version}`,
      "Running on host: ftp-nyc",
      `Mirrorfleet-Host: ${usual.hostId}`,
      "Upstream-mirror: ftp.example.org",
      "Rsync-Transport: plain",
      "Total bytes received in rsync: 4200",
      "Total time spent in rsync: 4",
      "Average rate: 1000 B/s",
      "",
    ].join("\n"),
  );
});

test("what is not known is left out, and a source behind TLS is said to be", () => {
  const text = debianTrace({
    ...usual,
    serial: null,
    sources: [{ ...source, tls: true }],
    report: nothingDone,
  });
  expect(text).not.toMatch(/serial|bytes|rate/i);
  expect(text).toContain("\nRsync-Transport: ssl\n");
});

test("the archive's serial is a number, whatever else the file holds", () => {
  expect(serialOf("x\nArchive serial: 2026110501\n")).toBe("2026110501");
  expect(serialOf("archive SERIAL:7")).toBe("7");
  for (const text of ["", "Archive serial: 1 Date: x", "Archive serial: -1", "Archive serial:\n5"])
    expect(serialOf(text)).toBeNull();
});

test("a trace file is by the host that its id names, not by one of the same name", () => {
  const text = debianTrace(usual);
  expect(isBy(text, usual)).toBe(true);
  expect(isBy(text, { hostId: "another" })).toBe(false);
});

test("a timestamp is in whole seconds", () => {
  expect(timestamp(new Date(1_700_000_000_999))).toBe("1700000000\n");
});
