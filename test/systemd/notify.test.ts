import { chmod, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { openNotify } from "../../systemd/notify.ts";
import { temporaryDirectory } from "../helpers/directory.ts";

/** An environment whose systemd-notify is `script`. */
async function environmentWith(script: string): Promise<NodeJS.ProcessEnv> {
  const bin = await temporaryDirectory();
  await writeFile(join(bin, "systemd-notify"), `#!/bin/sh\n${script}\n`);
  await chmod(join(bin, "systemd-notify"), 0o755);
  return { PATH: `${bin}:/usr/bin:/bin`, NOTIFY_SOCKET: "/run/notify" };
}

test("systemd is told what is to be told, at the socket that it named", async () => {
  const said = join(await temporaryDirectory(), "said");
  const environment = await environmentWith(`echo "$NOTIFY_SOCKET $*" >'${said}'`);
  const logged: string[] = [];
  const notify = openNotify({ environment, log: (line) => logged.push(line) });
  await notify("READY=1", "STATUS=polls");
  expect(await readFile(said, "utf8")).toBe("/run/notify READY=1 STATUS=polls\n");
  expect(logged).toEqual([]);
});

test("children of the service do not get the socket", async () => {
  const environment = await environmentWith("true");
  openNotify({ environment, log: () => {} });
  expect(environment["NOTIFY_SOCKET"]).toBeUndefined();
});

test("a message that does not arrive is logged, and does not end the service", async () => {
  const environment = await environmentWith("echo no such socket >&2; exit 1");
  const logged: string[] = [];
  await openNotify({ environment, log: (line) => logged.push(line) })("READY=1");
  expect(logged).toEqual([expect.stringContaining("cannot tell systemd READY=1")]);
});

test("without a service manager nothing is started", async () => {
  const logged: string[] = [];
  const environment = { PATH: "/nowhere" };
  await openNotify({ environment, log: (line) => logged.push(line) })("READY=1");
  expect(logged).toEqual([]);
});
