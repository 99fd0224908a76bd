import { execFile } from "node:child_process";
import { copyFile, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { buildDebs } from "../helpers/built.ts";
import { boot, inRoot, makeDebian, type Said, whyNoDebian } from "../helpers/debian.ts";
import { until } from "../helpers/programs.ts";

const why = await whyNoDebian();
const needs = why === null ? "" : ` (${why})`;
const lintian = await promisify(execFile)("lintian", ["--version"]).then(
  () => true,
  () => false,
);

let out: string;
let debs: Awaited<ReturnType<typeof buildDebs>>;

beforeAll(async () => {
  out = await mkdtemp(join(tmpdir(), "mirrorfleet-debs-"));
  process.env["DEBFULLNAME"] = "mirrorfleet packagers";
  process.env["DEBEMAIL"] = "mirrorfleet@users.noreply.github.com";
  debs = await buildDebs({ out });
}, 300_000);
afterAll(() => rm(out, { recursive: true, force: true }));

/** A Debian with packages in its directory /root. */
async function debianWith(...files: string[]): Promise<string> {
  const root = await makeDebian();
  for (const file of files) await copyFile(file, join(root, "root", basename(file)));
  return root;
}

const install = (file: string) => `dpkg -i /root/${basename(file)}`;

/** What a command said on standard output. @throws Error where it failed. */
function good({ status, stdout, stderr }: Said): string {
  if (status !== 0) throw new Error(`status ${status}: ${stdout}${stderr}`);
  return stdout.trim();
}

test.skipIf(!lintian)("lintian finds nothing wrong (needs lintian)", async () => {
  const run = promisify(execFile)("lintian", [
    "--allow-root",
    "--fail-on=error,warning",
    debs.agent,
    debs.controlPlane,
  ]);
  expect(await run).toEqual({ stdout: "", stderr: "" });
});

test.skipIf(why)(
  `installs, upgrades, is removed and purged in a clean Debian${needs}`,
  async () => {
    const root = await debianWith(debs.agent, debs.nextAgent);
    const run = (command: string) => inRoot(root, command);
    const state = "/var/lib/mirrorfleet-agent";

    good(await run(install(debs.agent)));
    expect(good(await run("mirrorfleet-agent --version"))).toMatch(/^\d+\.\d+\.\d+$/);
    const check = await run("mirrorfleet-agent check");
    expect(check.status).toBe(1);
    expect(check.stdout).toMatch(/^ok {4}rsync: version 3\./m);
    expect(check.stdout).toMatch(/^FAIL {2}identity: .*run "mirrorfleet-agent join"$/m);
    expect(good(await run(`stat -c '%a %U' ${state}`))).toBe("700 mirrorfleet-agent");
    expect(good(await run("man mirrorfleet-agent"))).toContain("MIRRORFLEET_MIRROR_ROOTS");
    expect(good(await run("systemctl is-enabled mirrorfleet-agent"))).toBe("enabled");

    good(
      await run(
        `mkdir -p /srv/mirror/debian && echo precious >/srv/mirror/debian/file &&
       echo MIRRORFLEET_MIRROR_ROOTS=/srv/mirror >/etc/mirrorfleet/agent.conf &&
       echo '{}' >${state}/identity.json`,
      ),
    );
    // As where a drop-in has the service run as another user.
    good(await run(`chown daemon: ${state}`));
    good(await run(install(debs.nextAgent)));
    expect(good(await run(`stat -c '%a %U' ${state}`))).toBe("700 daemon");
    expect(good(await run("dpkg-query -W -f '${Version}' mirrorfleet-agent"))).toMatch(/-2$/);
    expect(good(await run("cat /etc/mirrorfleet/agent.conf"))).toBe(
      "MIRRORFLEET_MIRROR_ROOTS=/srv/mirror",
    );
    expect(good(await run(`cat ${state}/identity.json`))).toBe("{}");

    // Interrupted before it is configured, and gone on with; scripts that run twice.
    const script = "/var/lib/dpkg/info/mirrorfleet-agent.postinst";
    good(await run(`dpkg --unpack /root/${basename(debs.agent)}`));
    good(await run(`${script} configure 0.1.0-2 && ${script} abort-upgrade 0.1.0-2`));
    good(await run("dpkg --configure -a"));
    expect(good(await run(`cat ${state}/identity.json && stat -c '%a %U' ${state}`))).toBe(
      "{}\n700 daemon",
    );

    good(await run("dpkg --remove mirrorfleet-agent"));
    expect((await run("test -e /usr/bin/mirrorfleet-agent")).status).toBe(1);
    expect(good(await run(`cat ${state}/identity.json /etc/mirrorfleet/agent.conf`))).toContain(
      "{}",
    );

    // A tree that is mounted there is not the package's to remove.
    const mounted = `mkdir ${state}/tree && mount --bind /srv/mirror ${state}/tree`;
    const purged = await run(`${mounted} && dpkg --purge mirrorfleet-agent`);
    expect(good(purged)).not.toContain("error");
    expect(purged.stderr).toContain(`something is mounted below ${state}, which stays`);
    expect(good(await run("cat /srv/mirror/debian/file"))).toBe("precious");
    // Purged anew, without it, nothing is left.
    good(
      await run(`rmdir ${state}/tree && ${install(debs.agent)} && dpkg --purge mirrorfleet-agent`),
    );
    expect((await run(`ls -d ${state} /etc/mirrorfleet`)).stdout).toBe("");
    expect(
      good(
        await run(
          "find / -xdev -name '*mirrorfleet*' -not -path '/root/*' -not -path '/proc/*' -not -path '/var/cache/man/*'",
        ),
      ),
    ).toBe("");
    expect(good(await run("cat /srv/mirror/debian/file"))).toBe("precious");
  },
);

const upstream = `mkdir -p /srv/upstream/pool/shared /srv/mirror /srv/other
echo one >/srv/upstream/pool/file
chmod 2775 /srv/upstream/pool/shared
chown mirrorfleet-agent: /srv/mirror /srv/other
cat >/etc/rsyncd.conf <<END
address = 127.0.0.1
port = 8730
[pub]
path = /srv/upstream
END
systemctl enable --now rsync
cat >/etc/mirrorfleet/agent.conf <<END
MIRRORFLEET_CONTROL_PLANE=http://127.0.0.1:8420
MIRRORFLEET_MIRROR_ROOTS=/srv/mirror:/srv/other
MIRRORFLEET_SOURCES=rsync://127.0.0.1:8730/
END`;

const joining = `set -e
mirrorfleet login http://127.0.0.1:8420 </var/lib/mirrorfleet/admin-token
mirrorfleet --json host invite master --role master --address 127.0.0.1 |
  sed -n 's/.*"\\(mfe_[^"]*\\)".*/\\1/p' | head -n 1 |
  runuser -u mirrorfleet-agent -- mirrorfleet-agent join --token-file -
systemctl start mirrorfleet-agent
mirrorfleet project add pool --upstream rsync://127.0.0.1:8730/pub/`;

const credential = `install -d -m 700 /etc/credstore
head -c 32 /dev/urandom | base64 >/etc/credstore/mirrorfleet.secret`;

/** A watchdog that is as strict as a test is impatient. */
const watchful = `mkdir -p /run/systemd/system/mirrorfleet-agent.service.d
cat >/run/systemd/system/mirrorfleet-agent.service.d/test.conf <<END
[Service]
WatchdogSec=3
TimeoutStopSec=2
END
systemctl daemon-reload
systemctl restart mirrorfleet-agent`;

test.skipIf(why)(
  `a booted Debian joins, syncs, has a stuck agent restarted, goes on after a reboot and an upgrade${needs}`,
  async () => {
    const root = await debianWith(debs.agent, debs.nextAgent, debs.controlPlane);
    good(await inRoot(root, `${install(debs.agent)} && ${install(debs.controlPlane)}`));
    good(await inRoot(root, credential));
    const first = await boot(root);
    good(await first.run(upstream));
    good(await first.run(joining));
    good(await first.run("mirrorfleet project sync pool --follow"));
    expect(good(await first.run("cd /srv/mirror/pool && find . | sort"))).toBe(
      good(await first.run("cd /srv/upstream && find . | sort")),
    );
    expect(good(await first.run("stat -c %a /srv/mirror/pool/pool/shared"))).toBe("2775");
    const show = "systemctl show -p ActiveState -p NRestarts -p StatusText mirrorfleet-agent";
    expect(
      good(await first.run(show))
        .split("\n")
        .toSorted(),
    ).toEqual([
      "ActiveState=active",
      "NRestarts=0",
      "StatusText=host master polls http://127.0.0.1:8420",
    ]);
    expect(good(await first.run("journalctl -u mirrorfleet-agent -o cat"))).toContain(
      "/srv/other is read-only for this service",
    );
    // The secret is the credential: none was made.
    expect((await first.run("ls /var/lib/mirrorfleet/secret")).status).not.toBe(0);
    await first.run(watchful);
    await sleep(8000);
    const restarts = "systemctl show -P NRestarts mirrorfleet-agent";
    expect(good(await first.run(restarts))).toBe("0");
    good(await first.run("kill -STOP $(systemctl show -P MainPID mirrorfleet-agent)"));
    await until("a stopped agent is started again", async () =>
      (await first.run(`${restarts}; systemctl is-active mirrorfleet-agent`)).stdout.startsWith(
        "1\nactive",
      ),
    );
    await first.stop();

    const second = await boot(root);
    const change = "echo two >/srv/upstream/pool/file && mirrorfleet project sync pool --follow";
    await until(
      "agent and control plane run again",
      async () =>
        (await second.run("mirrorfleet status && systemctl is-active mirrorfleet-agent")).status ===
        0,
    );
    good(await second.run(change));
    expect(good(await second.run("cat /srv/mirror/pool/pool/file"))).toBe("two");

    const identity = "cat /var/lib/mirrorfleet-agent/identity.json /etc/mirrorfleet/agent.conf";
    const before = good(await second.run(identity));
    good(await second.run(install(debs.nextAgent)));
    expect(good(await second.run(identity))).toBe(before);
    expect(good(await second.run("systemctl is-active mirrorfleet-agent"))).toBe("active");
    good(
      await second.run(
        "echo three >/srv/upstream/pool/file && mirrorfleet project sync pool --follow",
      ),
    );
    expect(good(await second.run("cat /srv/mirror/pool/pool/file"))).toBe("three");
    expect(good(await second.run("journalctl -b -u 'mirrorfleet-*' -p err -o cat"))).toBe("");
    await second.stop();
  },
);

const onePackage = `mkdir /srv/packages
cp /root/mirrorfleet-agent_*-1_*.deb /srv/packages
cd /srv/packages && sha256sum *.deb >SHA256SUMS
echo MIRRORFLEET_PACKAGES=/srv/packages >>/etc/mirrorfleet/control-plane.conf`;

/** Invites the master, and writes down the line that was printed. */
const inviting = `mirrorfleet login http://127.0.0.1:8420 </var/lib/mirrorfleet/admin-token
mirrorfleet host invite master --role master --address 127.0.0.1 \\
  --root /srv/mirror --root /srv/other --source rsync://127.0.0.1:8730/ >/root/invitation
sed -n 's/^  \\(( f=.*)\\)$/\\1/p' /root/invitation >/root/line
test -s /root/line || { cat /root/invitation; false; }`;

test.skipIf(why)(
  `a clean Debian joins by the one line that an invitation prints, and syncs${needs}`,
  async () => {
    const root = await debianWith(debs.agent, debs.controlPlane);
    good(await inRoot(root, `${install(debs.controlPlane)} && ${onePackage}`));
    const machine = await boot(root);
    good(
      await machine.run(`mkdir -p /srv/upstream && echo one >/srv/upstream/file
printf 'address = 127.0.0.1\\nport = 8730\\n[pub]\\npath = /srv/upstream\\n' >/etc/rsyncd.conf
systemctl enable --now rsync`),
    );
    await until("the control plane runs", async () =>
      (await machine.run(inviting)).status === 0 ? true : null,
    );
    const said = good(await machine.run("bash /root/line 2>&1"));
    expect(said).toContain("joined as host master (master)");
    expect(said).not.toContain("FAIL");
    expect(said).toMatch(/The agent runs\. At any time: mirrorfleet-agent check$/);
    const check = good(
      await machine.run("runuser -u mirrorfleet-agent -- mirrorfleet-agent check"),
    );
    expect(check).toMatch(/^ok {4}service: runs, and will after the machine's next start$/m);
    expect(check).toMatch(/^ok {4}sources: rsync:\/\/127\.0\.0\.1:8730 reached$/m);

    const pid = "systemctl show -P MainPID mirrorfleet-agent";
    const before = good(await machine.run(pid));
    const again = good(await machine.run("sh /root/line 2>&1"));
    expect(again).toMatch(/^mirrorfleet-agent \S+ is installed$/m);
    expect(good(await machine.run(pid))).toBe(before);

    good(await machine.run("mirrorfleet project add pool --upstream rsync://127.0.0.1:8730/pub/"));
    good(await machine.run("mirrorfleet project sync pool --follow"));
    expect(good(await machine.run("cat /srv/mirror/pool/file"))).toBe("one");
    expect(good(await machine.run("journalctl -u mirrorfleet-agent -o cat"))).not.toContain(
      "is read-only for this service",
    );
    good(await machine.run("systemctl stop mirrorfleet-agent"));
    const stopped = await machine.run("runuser -u mirrorfleet-agent -- mirrorfleet-agent check");
    expect(stopped).toMatchObject({
      status: 1,
      stdout: expect.stringMatching(/^FAIL {2}service: .*systemctl start mirrorfleet-agent/m),
    });
    await machine.stop();
  },
);
