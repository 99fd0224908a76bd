import { execFile } from "node:child_process";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { expect, onTestFinished, test } from "vitest";
import { startUpstream } from "../../demo/fleet.ts";
import { freePort, type Program, stopPrograms } from "../../demo/processes.ts";
import { createClient } from "../../protocol/client.ts";
import { temporaryDirectory } from "../helpers/directory.ts";
import { joinAgent, until } from "../helpers/programs.ts";
import { buildLambda } from "../../build/serverless.ts";
import { prepareDatabase, startWorker } from "../helpers/serverless.ts";

async function makeUpstream(directory: string) {
  const tree = join(directory, "upstream");
  await mkdir(tree);
  await writeFile(join(tree, "file"), "first\n");
  const track = (program: Program) => onTestFinished(() => stopPrograms([program]));
  return { tree, url: await startUpstream({ directory, track }, { tree }) };
}

test("in workerd: agents join, a whole sync goes through, and the schedule is the platform's cron", async () => {
  const directory = await temporaryDirectory();
  const { environment, admin } = await prepareDatabase({ directory });
  const worker = await startWorker({ directory, environment });
  const client = createClient({ url: worker.url, token: admin });
  const upstream = await makeUpstream(directory);
  const port = await freePort();
  const hosts = { client, url: worker.url };
  const env = { MIRRORFLEET_DAEMON_PORT: String(port) };
  const master = await joinAgent(hosts, { directory, host: "master", source: upstream.url, env });
  const ftp = await joinAgent(hosts, {
    directory,
    host: "ftp1",
    source: `rsync://127.0.0.1:${port}/`,
  });
  master.run();
  ftp.run();
  await client.createProject({ name: "debian", upstream: upstream.url, schedule: "* * * * * *" });
  const text = await until("the file is on the FTP host", async () => {
    expect(await worker.schedule()).toBe("ok");
    return readFile(join(ftp.root, "debian/file"), "utf8").catch(() => null);
  });
  expect(text).toBe("first\n");
  await client.patchProject("debian", { schedule: null });

  await writeFile(join(upstream.tree, "file"), "second, and longer\n");
  const response = await fetch(`${worker.url}/v1/projects/debian/sync?wait=1`, {
    method: "POST",
    headers: { authorization: `Bearer ${admin}` },
  });
  expect(await response.json()).toMatchObject({ state: "succeeded" });
  expect(await readFile(join(ftp.root, "debian/file"), "utf8")).toBe("second, and longer\n");

  const page = await fetch(`${worker.url}/sign-in`);
  const [, style = ""] = /(\/assets\/[^"]+dashboard\.css)/.exec(await page.text()) ?? [];
  expect((await fetch(worker.url + style)).headers.get("content-type")).toContain("text/css");
});

test("in workerd without held polls an agent asks as often as it is told", async () => {
  const directory = await temporaryDirectory();
  const { environment, admin, connections } = await prepareDatabase({ directory });
  const hold = { MIRRORFLEET_HOLD_SECONDS: "0", MIRRORFLEET_PAUSE_SECONDS: "2" };
  const worker = await startWorker({ directory, environment: { ...environment, ...hold } });
  const client = createClient({ url: worker.url, token: admin });
  const ftp = await joinAgent(
    { client, url: worker.url },
    { directory, host: "ftp1", source: "rsync://*" },
  );
  ftp.run();
  const lastSeen = async () => (await client.getHost("ftp1")).lastSeenAt;
  await until("the agent polls", lastSeen);
  const before = connections();
  await sleep(8000);
  expect(connections() - before).toBeGreaterThan(2);
  expect(connections() - before).toBeLessThan(8);
});

test("the bundle for AWS Lambda holds all that it needs", async () => {
  const directory = await temporaryDirectory();
  const { environment } = await prepareDatabase({ directory });
  const outdir = join(directory, "lambda");
  await buildLambda({ outdir });
  const request = (path: string) => ({
    version: "2.0",
    rawPath: path,
    rawQueryString: "",
    headers: { host: "function.example" },
    requestContext: { http: { method: "GET", path } },
    isBase64Encoded: false,
  });
  const script = `import { handler } from "${outdir}/index.mjs";
    for (const event of ${JSON.stringify([request("/readyz"), request("/docs/swagger-ui.css"), request("/sign-in")])})
      console.log((await handler(event)).statusCode);`;
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ["--input-type=module", "-e", script],
    { cwd: directory, env: environment },
  );
  expect(stdout).toBe("200\n200\n200\n");
});
