import { readFileSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium, type Page } from "playwright-core";
import { expect, onTestFinished } from "vitest";

const executablePath = process.env["CHROMIUM"] ?? "/usr/bin/chromium";
const args = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

const axe = readFileSync(fileURLToPath(import.meta.resolve("axe-core/axe.min.js")), "utf8");
const pictures = process.env["MIRRORFLEET_SCREENSHOTS"];

export type Browsing = {
  page: Page;
  /** Errors of the console, of scripts, and of the Content-Security-Policy, so far. */
  faults: string[];
  /** Looks at the page in both colour schemes and on a phone: takes pictures if asked to, and asks axe. */
  look: (name: string) => Promise<void>;
};

type Violation = { id: string; impact: string; nodes: { html: string; failureSummary: string }[] };

async function askAxe(page: Page, where: string): Promise<void> {
  await page.evaluate(axe);
  const found = await page.evaluate<Violation[]>(
    "axe.run({ resultTypes: ['violations'] }).then(({ violations }) => violations)",
  );
  const grave = found
    .filter(({ impact }) => impact === "serious" || impact === "critical")
    .map(({ id, nodes }) => `${id}: ${nodes[0]!.html} ${nodes[0]!.failureSummary}`);
  expect(grave, where).toEqual([]);
}

/** Opens a page in a real Chromium. A status that the test provokes on purpose is no fault. */
export async function openBrowser({ provoked }: { provoked: RegExp }): Promise<Browsing> {
  const browser = await chromium.launch({ executablePath, args });
  onTestFinished(() => browser.close());
  const page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
  page.setDefaultTimeout(60_000);
  const faults: string[] = [];
  page.on("pageerror", (error) => faults.push(error.message));
  page.on("console", (message) => {
    const text = `${message.text()} (${message.location().url})`;
    if (message.type() === "error" && !provoked.test(text)) faults.push(text);
  });
  await page.addInitScript(
    "addEventListener('securitypolicyviolation', (e) => console.error(`CSP: ${e.violatedDirective} ${e.blockedURI}`))",
  );
  const shoot = async (name: string) => {
    if (pictures === undefined) return;
    await mkdir(pictures, { recursive: true });
    await page.screenshot({ path: join(pictures, `${name}.png`), fullPage: true });
  };
  const look = async (name: string) => {
    for (const colorScheme of ["light", "dark"] as const) {
      await page.emulateMedia({ colorScheme });
      await askAxe(page, `${name}, ${colorScheme}`);
      await shoot(`${name}-${colorScheme}`);
    }
    await page.emulateMedia({ colorScheme: "light" });
    await page.setViewportSize({ width: 360, height: 740 });
    await shoot(`${name}-narrow`);
    const overflow = await page.evaluate(
      "document.documentElement.scrollWidth - document.documentElement.clientWidth",
    );
    expect(overflow, `${name} is wider than a phone`).toBe(0);
    await page.setViewportSize({ width: 1280, height: 900 });
  };
  return { page, faults, look };
}
