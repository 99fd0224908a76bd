import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { compareTrees } from "../../demo/compare.ts";
import { startUpstream } from "../../demo/fleet.ts";
import { freePort, type Program, stopPrograms } from "../../demo/processes.ts";
import { openBrowser } from "../helpers/browser.ts";
import { temporaryDirectory } from "../helpers/directory.ts";
import { joinAgent, startControlPlaneProgram } from "../helpers/programs.ts";

/** A control plane, an upstream with two trees, a master and an FTP host: all of them real. */
async function startFleet() {
  const directory = await temporaryDirectory();
  const controlPlane = await startControlPlaneProgram({ directory });
  const tree = join(directory, "upstream");
  await mkdir(join(tree, "pool"), { recursive: true });
  for (let index = 0; index < 40; index++)
    await writeFile(join(tree, "pool", `file-${index}`), randomBytes(20_000));
  // Names come from strangers.
  await writeFile(join(tree, "pool", "<img src=x onerror=alert(1)>"), "hostile");
  await mkdir(join(tree, "slow"));
  await writeFile(join(tree, "slow", "big"), randomBytes(8 * 1024 * 1024));
  const track = (program: Program) => onTestFinished(() => stopPrograms([program]));
  const upstream = await startUpstream({ directory, track }, { tree });
  const port = await freePort();
  const master = await joinAgent(controlPlane, {
    directory,
    host: "master",
    source: upstream,
    env: { MIRRORFLEET_DAEMON_PORT: String(port) },
  });
  const ftp = await joinAgent(controlPlane, {
    directory,
    host: "ftp1",
    source: `rsync://127.0.0.1:${port}/`,
  });
  master.run();
  ftp.run();
  return { ...controlPlane, tree, upstream, master, ftp };
}

test("an operator adds a project, watches it sync, reads its log, approves deletions and cancels", async () => {
  const { url, token, tree, upstream, master, ftp } = await startFleet();
  const { page, faults, look } = await openBrowser({ provoked: /status of (401|422)/ });
  const heading = (name: string | RegExp) => page.getByRole("heading", { name, exact: true });
  const confirm = async (name: string | RegExp) => {
    await page.locator("summary", { hasText: name }).first().click();
    await page
      .getByRole("button", { name: /^Yes: / })
      .first()
      .click();
  };

  await page.goto(url);
  await heading("Sign in").waitFor();
  await page.getByLabel("Operator token").fill(`mfo_${"x".repeat(43)}`);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByText("unknown or revoked").waitFor();
  await look("sign-in");
  await page.getByLabel("Operator token").fill(token);
  await page.keyboard.press("Enter");
  await page.getByText("There is no project yet").waitFor();
  await look("fleet-empty");

  await page.getByRole("link", { name: "Add a project" }).click();
  await page.getByLabel("Name", { exact: true }).fill("debian");
  await page.getByLabel("Upstream").fill("ftp://example.org/");
  await page.getByLabel("Cron expression").fill("61 * * * *");
  await page.locator("#schedule-words .bad").waitFor();
  await page.getByLabel("Cron expression").fill("17 4 1 1 *");
  await page.getByText("At 04:17").waitFor();
  await page.getByRole("button", { name: "Add", exact: true }).click();
  await page.locator("#upstream[aria-invalid]").waitFor();
  await page.getByText("At 04:17").waitFor();
  await look("project-form");
  await page.getByLabel("Upstream").fill(`${upstream}pool/`);
  await page.getByRole("button", { name: "Add", exact: true }).click();
  await heading("debian").waitFor();

  await page.getByRole("button", { name: "Dry run" }).click();
  await heading("Would be created: 42").waitFor();
  await look("dry-run");
  expect(existsSync(join(master.root, "debian"))).toBe(false);
  await page.getByRole("link", { name: "debian", exact: true }).click();
  await page.getByRole("button", { name: "Sync now" }).click();
  await heading("debian · run").waitFor();
  // The page follows by itself.
  await page.locator("#run-head .good").waitFor();
  expect(await page.locator("#run-tasks .good").count()).toBe(2);
  await look("run");
  await page.getByRole("link", { name: "ftp1" }).click();
  await page.locator("#log", { hasText: "file-1" }).waitFor();
  expect(
    (await compareTrees({ expected: join(tree, "pool"), actual: join(ftp.root, "debian") }))
      .differences,
  ).toEqual([]);
  await page.getByLabel("Lines with").fill("file-39");
  await page.getByRole("button", { name: "Search" }).click();
  await page.getByText("1 line", { exact: true }).or(page.getByText("2 lines")).waitFor();
  await page.getByRole("link", { name: "All lines" }).click();
  await look("task");
  const [download] = await Promise.all([
    page.waitForEvent("download"),
    page.getByRole("link", { name: "Download" }).click(),
  ]);
  expect(download.suggestedFilename()).toMatch(/\.log$/);

  // Most files go: nothing is deleted until somebody says so.
  for (let index = 0; index < 30; index++) await rm(join(tree, "pool", `file-${index}`));
  await rm(join(tree, "pool", "<img src=x onerror=alert(1)>"));
  await page.goto(`${url}/projects/debian`);
  await page.getByRole("button", { name: "Sync now" }).click();
  await page.locator("#run-head .bad").waitFor();
  await page.goto(url);
  await page.getByRole("heading", { name: "Held deletions" }).waitFor();
  await look("fleet-held");
  await page.getByRole("link", { name: "debian", exact: true }).click();
  await page.getByText("Some of them").waitFor();
  await look("project-held");
  await confirm("Approve 31 deletions");
  await page.locator("#run-head .good").waitFor();
  await page.goto(url);
  await page.getByText("Nothing needs a person").waitFor();
  expect(await page.locator("#matrix td.f").count()).toBe(2);
  // One stop of the tab key, arrows within.
  const stop = page.locator('#matrix a[tabindex="0"]');
  expect(await stop.count()).toBe(1);
  await stop.focus();
  for (const key of ["ArrowDown", "ArrowRight"]) await page.keyboard.press(key);
  expect(await page.evaluate("document.activeElement.pathname")).toBe("/at/debian/ftp1");
  expect(await stop.getAttribute("href")).toBe("/at/debian/ftp1");

  // A slow one is cancelled while its page is open.
  await page.getByRole("link", { name: "Add a project" }).click();
  await page.getByLabel("Name", { exact: true }).fill("slow");
  await page.getByLabel("Upstream").fill(`${upstream}slow/`);
  await page.getByLabel("KiB per second").fill("400");
  await page.getByRole("button", { name: "Add", exact: true }).click();
  await page.getByRole("button", { name: "Sync now" }).click();
  await page.getByRole("link", { name: "master" }).click();
  await page.locator("#task-head progress[value]").waitFor();
  await look("task-running");
  await page.goto(url);
  await page.locator("#matrix td", { hasText: "%" }).waitFor();
  await look("fleet-syncing");
  await page.locator("#matrix td a", { hasText: "%" }).click();
  await confirm("Cancel");
  await page.locator("#task-head .chip.wait", { hasText: "cancelled" }).waitFor();
  await look("task-cancelled");

  await page.goto(`${url}/projects/debian`);
  await page.locator("[data-chart] canvas").first().waitFor();
  await page.getByText("Show all").click();
  await look("project");
  await page.goto(`${url}/hosts`);
  await look("hosts");
  await page.getByRole("link", { name: "ftp1" }).click();
  await heading("ftp1").waitFor();
  await look("host");
  await page.getByText("Change its settings").click();
  await page.getByLabel("Labels").fill("site=nyc");
  await look("host-settings");
  await page.getByRole("button", { name: "Save" }).click();
  await page.locator("#host-facts code", { hasText: "site=nyc" }).waitFor();
  await page.goto(`${url}/runs`);
  await look("runs");
  await page.getByRole("link", { name: "Alerts" }).click();
  await page.getByLabel("Name", { exact: true }).fill("pager");
  await page.getByLabel("URL").fill("http://127.0.0.1:2/hook");
  await page.getByLabel("Secret").fill(`whsec_${Buffer.alloc(32, 7).toString("base64")}`);
  await page.getByRole("button", { name: "Add it" }).click();
  await page.getByRole("button", { name: "Test" }).click();
  await page.getByText("pager did not take a test message").waitFor();
  await look("alerts");
  await page.getByRole("link", { name: "Edit" }).click();
  await heading(/Edit pager/).waitFor();
  await look("alert-receiver");
  await page.getByLabel("stale").uncheck();
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByText("failed, out-of-contact, held, disk, no-progress").waitFor();
  await page.getByRole("button", { name: "Silence" }).click();
  await page.getByText("silent", { exact: false }).first().waitFor();
  await page.goto(`${url}/admin`);
  await look("admin");
  await page.getByLabel("Whose it is").fill("a viewer");
  await page.getByRole("button", { name: "Make it" }).click();
  const viewer = await page.locator("#once").textContent();
  await look("token");
  await page.goto(`${url}/admin/audit`);
  await look("audit");

  await page.goto(`${url}/projects/debian/edit`);
  await page.getByLabel("Everybody sees its state").check();
  await page.getByRole("button", { name: "Save" }).click();
  await heading("debian").waitFor();
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.goto(`${url}/status`);
  await page.getByText("in sync").waitFor();
  await look("status");
  await page.goto(`${url}/sign-in`);
  await page.getByLabel("Operator token").fill(viewer!);
  await page.keyboard.press("Enter");
  await page.getByRole("link", { name: "debian", exact: true }).click();
  await heading("debian").waitFor();
  expect(await page.getByRole("button").allTextContents()).toEqual(["Sign out"]);
  expect(faults).toEqual([]);
});
