import { setTimeout as sleep } from "node:timers/promises";
import { type Command, Option } from "commander";
import { AppError } from "../../protocol/errors.ts";
import type { Settings, Status } from "../../protocol/settings.ts";
import { action, type CliCtx } from "../context.ts";
import { ago, listing, table, time } from "../format.ts";
import { patiently } from "../patiently.ts";
import { collect } from "../project-fields.ts";
import { wholeNumber, wholeNumberOptionOr, wholeNumberOr } from "../whole-number.ts";
import { heldTable } from "./held.ts";

const watchSeconds = 2;

const pauseText = ({ paused }: Pick<Settings, "paused">) =>
  paused ? `paused since ${time(paused.at)}${paused.reason ? `: ${paused.reason}` : ""}` : "no";

const fleetText = (settings: Settings) =>
  settings.paused ? `the fleet is ${pauseText(settings)}` : "the fleet goes on";

const staleTable = (stale: Status["stale"]) =>
  table(
    ["STALE: PROJECT", "HOST", "FRESH"],
    stale.map(({ project, host, freshAt }) => [project, host, ago(freshAt)]),
  );

function statusText(status: Status): string {
  const { hosts, projects, runs } = status;
  const facts = listing([
    ["fleet paused", pauseText(status)],
    ["hosts", `${hosts.inContact} of ${hosts.enrolled} in contact, ${hosts.drained} drained`],
    ["projects", `${projects.all}, ${projects.paused} paused`],
    ["tasks", `${status.runningTasks} running, ${status.queuedTasks} waiting`],
    [
      "runs, 24 hours",
      Object.entries(runs)
        .map(([state, count]) => `${count} ${state}`)
        .join(", ") || "none",
    ],
  ]);
  const held = status.held.length === 0 ? "" : `\n\n${heldTable(status.held)}`;
  const stale = status.stale.length === 0 ? "" : `\n\n${staleTable(status.stale)}`;
  if (status.behind.length === 0)
    return `${facts}${held}${stale}${held || stale ? "" : "\n\nevery replica is up to date"}`;
  const behind = table(
    ["BEHIND: PROJECT", "HOST", "GENERATIONS"],
    status.behind.map(({ project, host, generations }) => [project, host, generations]),
  );
  return `${facts}${held}${stale}\n\n${behind}`;
}

/** "ftp.debian.org=2" as {"ftp.debian.org": 2}. */
function limitsOf(words: string[]): Record<string, number | null> {
  return Object.fromEntries(
    words.map((word) => {
      const [host = "", limit = ""] = word.split("=");
      return [host, wholeNumberOr("none")(limit)];
    }),
  );
}

/** "abbr=EX" said of a site; its fields without a value go. The server checks what comes out. */
function siteOf(words: string[], before: Settings["site"]): Settings["site"] {
  const said = words.map((word): [string, string | boolean | undefined] => {
    const at = word.indexOf("=");
    const value = word.slice(at + 1);
    if (at < 1) throw new AppError("invalid-input", `--site "${word}" must be field=value`);
    const field = word.slice(0, at);
    return [field, value === "" ? undefined : field === "disable" ? value === "true" : value];
  });
  const kept = Object.entries({ ...before, ...Object.fromEntries(said) }).filter(
    ([, value]) => value !== undefined,
  );
  return kept.length === 0 ? null : (Object.fromEntries(kept) as Settings["site"]);
}

async function watch({ client, print }: Pick<CliCtx, "client" | "print">): Promise<never> {
  for (;;) {
    await sleep(watchSeconds * 1000);
    const status = await patiently(() => client.getStatus());
    if (process.stdout.isTTY) process.stdout.write("\u001b[2J\u001b[H");
    print(status, statusText);
  }
}

/** `status`, and the pause of everything. */
export function addFleet(program: Command): void {
  program
    .command("status")
    .description("what an operator wants to know first")
    .option("-w, --watch", "again every two seconds, until Ctrl-C")
    .action(
      action<{ watch?: boolean }>(async ({ client, print }, { options }) => {
        print(await client.getStatus(), statusText);
        if (options.watch) await watch({ client, print });
      }),
    );
  program
    .command("pause-fleet")
    .description("stop everything, for emergencies: nothing is started any more")
    .option("--reason <text>", "shown to whoever wonders")
    .option("--cancel-running", "also end what runs now")
    .action(
      action<{ reason?: string; cancelRunning?: boolean }>(async ({ client, print }, { options }) =>
        print(await client.pauseFleet(options), fleetText),
      ),
    );
  program
    .command("resume-fleet")
    .description("let everything go on")
    .action(action(async ({ client, print }) => print(await client.resumeFleet(), fleetText)));
  addSettings(program);
}

type SettingsOptions = Partial<
  Record<"upstreamParallel" | "keepRuns" | "keepLogs" | "keepAudit", number | null>
> & {
  alertFailedRuns?: number;
  alertAwayMinutes?: number;
  alertDiskPercent?: number;
  alertDiskDays?: number | null;
  upstreamParallelOf?: string[];
  standingOrders?: "on" | "off";
  openMetrics?: "on" | "off";
  site?: string[];
};

const days = (value: number | null) => (value === null ? "for ever" : `${value} days`);

const settingsText = (settings: Settings) =>
  listing([
    ["paused", pauseText(settings)],
    ["upstream parallel", settings.upstreamParallel ?? "no limit"],
    ...Object.entries(settings.upstreamParallelOf).map(([host, limit]): [string, number] => [
      `  ${host}`,
      limit,
    ]),
    ["standing orders", settings.standingOrders ? "on" : "off"],
    ["open metrics", settings.openMetrics ? "on" : "off"],
    ["alert after failed runs", settings.alertFailedRuns],
    ["alert after minutes away", settings.alertAwayMinutes],
    ["alert below free percent", settings.alertDiskPercent],
    ["alert days before a disk is full", settings.alertDiskDays ?? "none"],
    ["site", settings.site ? "" : "not said"],
    ...Object.entries(settings.site ?? {}).map(([field, value]): [string, string] => [
      `  ${field}`,
      String(value),
    ]),
    ["keep runs", days(settings.keepRunsDays)],
    ["keep logs", days(settings.keepLogsDays)],
    ["keep audit events", days(settings.keepAuditDays)],
  ]);

function addSettings(program: Command): void {
  program
    .command("settings")
    .description("show or change the settings of the whole fleet")
    .option(
      "--upstream-parallel <n>",
      'pulls at a time from one upstream host; "none" is no limit',
      wholeNumberOptionOr("none"),
    )
    .option(
      "--upstream-parallel-of <host=n>",
      'of one upstream host; "none" takes its limit away; may be repeated',
      collect,
    )
    .option(
      "--keep-runs <days>",
      'runs that have ended, with their tasks; "forever" is no limit',
      wholeNumberOptionOr("forever"),
    )
    .option("--keep-logs <days>", "logs of tasks that have ended", wholeNumberOptionOr("forever"))
    .option("--keep-audit <days>", "audit events", wholeNumberOptionOr("forever"))
    .option(
      "--alert-failed-runs <n>",
      "alert when so many runs of a project failed one after the other",
      wholeNumber,
    )
    .option("--alert-away-minutes <n>", "alert when a host was not heard for so long", wholeNumber)
    .option(
      "--alert-disk-percent <n>",
      "alert when less of a mirror root's space or inodes is free",
      wholeNumber,
    )
    .option(
      "--alert-disk-days <days>",
      'alert when a mirror root will be full so soon if it goes on; "none": not before it nearly is',
      wholeNumberOptionOr("none"),
    )
    .addOption(
      new Option(
        "--standing-orders <switch>",
        "may hosts that are out of contact follow the schedule by themselves?",
      ).choices(["on", "off"]),
    )
    .option(
      "--site <field=value>",
      "who runs the mirror, for mirrorz.json: url, abbr, name …; without a value the field goes; may be repeated",
      collect,
    )
    .addOption(
      new Option("--open-metrics <switch>", "show metrics without credentials?").choices([
        "on",
        "off",
      ]),
    )
    .action(
      action<SettingsOptions>(async ({ client, print }, { options }) => {
        const { upstreamParallel, upstreamParallelOf, keepRuns, keepLogs, keepAudit } = options;
        const { standingOrders, openMetrics } = options;
        const { alertFailedRuns, alertAwayMinutes, alertDiskPercent, alertDiskDays } = options;
        const change = {
          upstreamParallel,
          upstreamParallelOf: upstreamParallelOf && limitsOf(upstreamParallelOf),
          keepRunsDays: keepRuns,
          keepLogsDays: keepLogs,
          keepAuditDays: keepAudit,
          standingOrders: standingOrders && standingOrders === "on",
          site: options.site && siteOf(options.site, (await client.getSettings()).site),
          openMetrics: openMetrics && openMetrics === "on",
          alertFailedRuns,
          alertAwayMinutes,
          alertDiskPercent,
          alertDiskDays,
        };
        const changes = Object.values(change).some((value) => value !== undefined);
        print(await (changes ? client.patchSettings(change) : client.getSettings()), settingsText);
      }),
    );
}
