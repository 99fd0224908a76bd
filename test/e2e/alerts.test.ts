import { execFile } from "node:child_process";
import { chmod, readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { freePort } from "../../demo/processes.ts";
import { temporaryDirectory } from "../helpers/directory.ts";
import { joinAgent, killHard, startControlPlaneProgram, until } from "../helpers/programs.ts";
import { openWebhook, startHttpReceiver, webhookSecret } from "../helpers/receivers.ts";

const program = fileURLToPath(new URL("../../cli/main.ts", import.meta.url));

/** The real command line; what is secret goes to its standard input. */
function cliOf({ url, token }: { url: string; token: string }) {
  return (args: string[], input = "") =>
    new Promise<{ status: number; text: string }>((resolve) => {
      const env = { PATH: process.env["PATH"]!, HOME: "/nonexistent", NO_COLOR: "1" };
      const child = execFile(
        process.execPath,
        [program, ...args],
        { env: { ...env, MIRRORFLEET_URL: url, MIRRORFLEET_TOKEN: token } },
        (error, stdout, stderr) =>
          resolve({ status: Number(error?.code ?? 0), text: stdout + stderr }),
      );
      child.stdin!.end(input);
    });
}

test("an alert that could not be delivered before the control plane was killed is delivered after its next start", async () => {
  const directory = await temporaryDirectory();
  await chmod(directory, 0o711);
  const first = await startControlPlaneProgram({ directory });
  const cli = cliOf(first);
  const port = await freePort();
  const hook = [`http://127.0.0.1:${port}/`, "--kind", "webhook", "--condition", "failed"];
  const changed = () =>
    cli(["alert", "set", "on-call", "--remind-hours", "never", "--host", "all"]);
  expect((await changed()).status).toBe(4);
  const added = await cli(["alert", "add", "on-call", ...hook], `${webhookSecret}\n`);
  expect(added).toMatchObject({ status: 0, text: expect.stringContaining("on-call") });
  expect(added.text).not.toContain(webhookSecret);
  expect((await changed()).status).toBe(0);
  const [made] = await first.client.listAlertReceivers();
  expect(made).toMatchObject({ conditions: ["failed"], hosts: null, remindHours: null });
  const tested = await cli(["alert", "test", "on-call"]);
  expect(tested.text).toMatch(/^not delivered: .*ECONNREFUSED/);
  expect(tested.status).toBe(1);

  const source = "rsync://127.0.0.1:1/nothing/";
  const master = await joinAgent(first, { directory, host: "master", source });
  master.run();
  await first.client.patchSettings({ alertFailedRuns: 1 });
  await first.client.createProject({ name: "debian", upstream: source, maxAttempts: 1 });
  const { id } = await first.client.syncProject("debian");
  await until("the run has failed", async () => (await first.client.getRun(id)).state === "failed");
  await fetch(`${first.url}/v1/tick`, {
    method: "POST",
    headers: { authorization: `Bearer ${first.token}` },
  });
  expect((await cli(["alert", "list"])).text).toMatch(/^ALERT.*\nfailed +debian +-/);
  expect((await cli(["alert", "receivers"])).text).toMatch(/1 waiting: .*ECONNREFUSED/);
  await killHard(first.program);

  const receiver = await startHttpReceiver({ port });
  const second = await startControlPlaneProgram({ directory, name: "second" });
  await until("it is delivered", () => receiver.received.length > 0);
  const told = openWebhook(receiver.received[0]!);
  expect(told).toMatchObject({ kind: "opened", subjects: ["failed debian"] });
  const again = cliOf(second);
  expect(await again(["alert", "test", "on-call"])).toEqual({ status: 0, text: "delivered\n" });
  expect((await again(["alert", "silence", "on-call", "--until", "4h"])).text).toContain(
    "silent until",
  );
  expect((await again(["alert", "remove", "on-call"])).text).toBe("on-call: removed\n");
  for (const { logFile } of [first, second])
    expect(await readFile(logFile, "utf8")).not.toContain(webhookSecret);
});
