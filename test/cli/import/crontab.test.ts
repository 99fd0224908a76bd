import { expect, test } from "vitest";
import { crontabEntries } from "../../../cli/import/crontab.ts";
import { cronEvery, cronOf } from "../../../cli/import/schedule.ts";

test("lines, variables, comments and per cent signs are read as cron reads them", () => {
  const text =
    '# no\nCRON_TZ="Europe/Berlin"\nMAILTO=a\n\n*/5 1-3 * jan mon-fri  rsync --log=a\\%b x%input\n@daily run\nnonsense\n';
  expect(crontabEntries(text, { system: false })).toEqual([
    { when: "*/5 1-3 * jan mon-fri", command: "rsync --log=a%b x", zone: "Europe/Berlin" },
    { when: "@daily", command: "run", zone: "Europe/Berlin" },
  ]);
  expect(crontabEntries("1 2 * * * root run it", { system: true })).toEqual([
    { when: "1 2 * * *", command: "run it", zone: null },
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
