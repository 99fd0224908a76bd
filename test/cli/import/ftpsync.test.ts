import { expect, test } from "vitest";
import { importFtpsync } from "../../../cli/import/ftpsync.ts";

const usual = "TO=/srv/debian\nRSYNC_HOST=h.example\nMIRRORNAME=m.example\n";

function read(text: string) {
  const file = { path: "ftpsync.conf", text: usual + text };
  const { draft, take } = importFtpsync(file, { schedule: null, readText: () => null });
  const filters = (draft?.fields.rsync?.filters ?? []).map(
    ({ action, pattern }) => `${action} ${pattern}`,
  );
  const notes = take.notes.map(({ what, why }) => `${what}: ${why}`).join("\n");
  return { upstream: draft?.fields.upstream, filters, notes };
}

test.each([
  ["", "rsync://h.example/debian/"],
  ["RSYNC_SSL_PORT=1234", "rsync://h.example/debian/"],
  ["RSYNC_SSL=false", "rsync://h.example/debian/"],
  ["RSYNC_TRANSPORT=ssl", "rsyncs://h.example:1873/debian/"],
  ["RSYNC_SSL=true", "rsyncs://h.example:1873/debian/"],
  ["RSYNC_SSL=true\nRSYNC_SSL_PORT=874", "rsyncs://h.example/debian/"],
  ["RSYNC_TRANSPORT=$(cat transport)", undefined],
  [". /etc/ftpsync-common.conf", undefined],
])("%s: it is pulled from %s", (text, upstream) => {
  expect(read(text).upstream).toBe(upstream);
});

test("what RSYNC_FILTER, TRACE and SOURCE_EXCLUDE of older versions protect stays", () => {
  const { filters } = read(
    'RSYNC_FILTER="--filter=protect_/local --filter=protect_Archive"\nTRACE=project/trace/old\nSOURCE_EXCLUDE=--exclude=/src/\n',
  );
  expect(filters).toEqual(
    expect.arrayContaining([
      "exclude /local",
      "exclude Archive",
      "exclude /project/trace/old",
      "exclude /src/",
    ]),
  );
});

test("options that use RSYNC_FILTER are read, whether the file sets it or not", () => {
  const options = 'RSYNC_OPTIONS="-rltH ${RSYNC_FILTER}"\n';
  expect(read(options).filters).toContain("exclude /project/trace/m.example");
  const { filters } = read(`RSYNC_FILTER=--filter=protect_/local\n${options}`);
  expect(filters.filter((filter) => filter === "exclude /local")).toHaveLength(1);
});

test("a name that only the machine knows is protected whatever it is", () => {
  const { filters } = read(
    'MIRRORNAME=`hostname -f`\nRSYNC_FILTER="--filter=protect_/local/$MIRRORNAME"\n',
  );
  expect(filters).toContain("exclude /local/**");
  expect(read("RSYNC_FILTER=$(cat filter)").upstream).toBeUndefined();
});

test("every assignment that is not known is named", () => {
  const { notes } = read("BASE=/srv\nRSYNC_ODD=1\nEXTENDEDTRACE=full\n");
  expect(notes).toMatch(/^BASE, RSYNC_ODD: no setting of ftpsync/m);
  expect(notes).toMatch(/^EXTENDEDTRACE: trace.style is debian/m);
});
