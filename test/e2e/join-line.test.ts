import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { chmod, mkdir, readFile, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { expect, onTestFinished, test } from "vitest";
import { bundle } from "../../build/bundle.ts";
import { openBuild } from "../../build/context.ts";
import { freePort } from "../../demo/processes.ts";
import { temporaryDirectory } from "../helpers/directory.ts";
import { startManInTheMiddle } from "../helpers/man-in-the-middle.ts";
import { joinAgent, startControlPlaneProgram, until } from "../helpers/programs.ts";
import { runInThrowawayRoot, whyNoThrowawayRoot } from "../helpers/throwaway-root.ts";

const run = promisify(execFile);
const cli = join(import.meta.dirname, "../../cli/main.ts");
const why = await whyNoThrowawayRoot();
const needs = why === null ? "" : ` (${why})`;

/** What the executable is in these tests: the agent's one file, and the Node that the test puts beside it. */
const executable = '#!/bin/sh\nexec /opt/test/node /opt/test/agent.cjs "$@"\n';

/** Greets as an rsync daemon does: the master, as far as a check is concerned. */
async function startGreeter(): Promise<string> {
  const server = createServer((socket) => void socket.on("error", () => {}).end("@RSYNCD: 31.0\n"));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  return `rsync://127.0.0.1:${(server.address() as { port: number }).port}/`;
}

const sha256 = (content: string | Buffer) => createHash("sha256").update(content).digest("hex");

const executables: Record<string, string | Buffer> = Object.fromEntries(
  ["x64", "arm64"].map((architecture) => [`mirrorfleet-agent-linux-${architecture}`, executable]),
);

async function makeSite({ built = executables } = {}) {
  const directory = await temporaryDirectory();
  const packages = join(directory, "dist");
  await mkdir(packages);
  for (const [name, content] of Object.entries(built))
    await writeFile(join(packages, name), content);
  const sums = Object.entries(built).map(([name, content]) => `${sha256(content)}  ${name}\n`);
  await writeFile(join(packages, "SHA256SUMS"), sums.join(""));
  const env = { MIRRORFLEET_PACKAGES: packages };
  const { client, url, token } = await startControlPlaneProgram({ directory, env });
  const source = await startGreeter();
  /** The line that `mirrorfleet host invite` prints, for a control plane at this address. */
  const invite = async ({
    name = "ftp1",
    at = url,
    again = false,
    more = [] as string[],
    sources = [source],
  } = {}) => {
    const made = again ? [] : ["--role", "ftp", "--address", "192.0.2.1"];
    const args = [cli, "--url", at, "host", "invite", name, ...made, ...more];
    for (const each of sources) args.push("--source", each);
    const { stdout } = await run(process.execPath, args, {
      env: { PATH: process.env["PATH"]!, HOME: directory, MIRRORFLEET_TOKEN: token },
    });
    const line = /^ {2}(\( f=.*\))$/m.exec(stdout)?.[1];
    if (line === undefined) throw new Error(stdout);
    return line;
  };
  return { directory, client, url, invite, source, packages };
}

async function files({ directory }: { directory: string }) {
  const outfile = join(directory, "agent.cjs");
  const ctx = openBuild({ out: directory, log: () => {} });
  await bundle(ctx, { entry: "agent/main.ts", outfile, format: "commonjs" });
  return { "agent.cjs": outfile, node: await realNode() };
}

/** The program itself: `process.execPath` may be a link into a package. */
const realNode = async () => (await run("readlink", ["-f", process.execPath])).stdout.trim();

const show = `
echo "identity $(cksum </var/lib/mirrorfleet-agent/identity.json) $(stat -c '%a %U' /var/lib/mirrorfleet-agent/identity.json)"
cat /etc/mirrorfleet/agent.conf
stat -c '%n %U' /srv/mirror
ls /tmp`;

test.skipIf(why)(
  `the line installs, joins and checks a clean host, and does nothing when it is run again${needs}`,
  async () => {
    const site = await makeSite();
    const line = await site.invite();
    const script = `rm -rf /srv/mirror; mkdir -p /etc/mirrorfleet
printf '# mine\\nMIRRORFLEET_PARALLEL=3' >/etc/mirrorfleet/agent.conf
${line}
echo "first $?"
${show}
${line}
echo "second $?"
${show}`;
    const { said } = await runInThrowawayRoot({ script, files: await files(site) });
    const [first = "", second = ""] = said.split("first 0\n").at(1)?.split("second 0\n") ?? [said];
    expect(said).toMatch(/joined as host ftp1 \(ftp\)/);
    for (const name of ["rsync", "mirror roots", "identity", "control plane", "clock", "sources"])
      expect(said).toMatch(new RegExp(`^ok {4}${name}: `, "m"));
    expect(said).toContain(
      "There is no systemd here: have your init run, as user mirrorfleet-agent",
    );
    const settings = [
      "# mine",
      "MIRRORFLEET_PARALLEL=3",
      `MIRRORFLEET_CONTROL_PLANE="${site.url}"`,
      'MIRRORFLEET_MIRROR_ROOTS="/srv/mirror"',
      `MIRRORFLEET_SOURCES="${site.source}"`,
      "/srv/mirror mirrorfleet-agent\n",
    ].join("\n");
    // Nothing is left in /tmp.
    expect(first.slice(0, first.indexOf("mirrorfleet-agent is installed"))).toMatch(
      /^identity \d+ \d+ 600 mirrorfleet-agent\n/,
    );
    expect(first).toContain(settings);
    expect(first).toContain("mirrorfleet-agent is installed");
    expect(second).toBe(first.slice(0, second.length));
    expect(second.endsWith(settings)).toBe(true);
    expect((await site.client.getHost("ftp1")).state).toBe("enrolled");
  },
);

test.skipIf(why)(
  `a package that was changed on its way is not installed, and a line that was interrupted leaves nothing behind${needs}`,
  async () => {
    const site = await makeSite();
    const between = await startManInTheMiddle(site.url);
    let requests = 0;
    between.man.meddle = async (answer, { path }) => {
      if (!path.startsWith("/v1/public/packages/")) return answer;
      requests += 1;
      if (requests === 1) return { ...answer, body: `${answer.body}# mine\n` };
      if (requests === 2) await sleep(20_000, undefined, { ref: false });
      return answer;
    };
    const line = await site.invite({ at: between.url });
    const left = `ls -d /tmp/* /usr/local/bin/mirrorfleet-agent* /etc/mirrorfleet /var/lib/mirrorfleet-agent 2>/dev/null; id mirrorfleet-agent 2>&1`;
    const script = `rm -rf /etc/mirrorfleet /srv/mirror
${line}
echo "changed $?"; ${left}
cat >/opt/test/line <<'END'
${line}
END
timeout -s TERM 8 sh /opt/test/line
code=$?
# The script that the line had started tidies up by itself.
sleep 4
echo "interrupted $code"; ${left}
sh /opt/test/line
echo "whole $?"`;
    const { said } = await runInThrowawayRoot({ script, files: await files(site) });
    expect(said).toContain("is not what the invitation promised: its checksum differs");
    expect(said).toMatch(/\nchanged 1\nid: .*no such user\n/);
    expect(said).toMatch(/\ninterrupted 124\nid: .*no such user\n/);
    expect(said).toMatch(/joined as host ftp1[^]*\nwhole 0\n/);
  },
);

const postinst = `#!/bin/sh
set -e
id mirrorfleet-agent >/dev/null 2>&1 || useradd --system --user-group mirrorfleet-agent
install -d -m 700 -o mirrorfleet-agent -g mirrorfleet-agent /var/lib/mirrorfleet-agent
`;

/** A package of the agent as dpkg takes it; `nonce` makes it another file. */
async function makeDeb({ version, nonce }: { version: string; nonce: number }): Promise<Buffer> {
  const tree = join(await temporaryDirectory(), "tree");
  for (const path of ["DEBIAN", "usr/bin"]) await mkdir(join(tree, path), { recursive: true });
  const control = `Package: mirrorfleet-agent\nVersion: ${version}\nArchitecture: all\nMaintainer: nobody <nobody@example.org>\nDescription: the agent, ${nonce}\n`;
  await writeFile(join(tree, "DEBIAN/control"), control);
  await writeFile(join(tree, "DEBIAN/postinst"), postinst, { mode: 0o755 });
  await writeFile(join(tree, "usr/bin/mirrorfleet-agent"), executable, { mode: 0o755 });
  await run("dpkg-deb", ["--root-owner-group", "-Znone", "--build", tree, `${tree}.deb`]);
  return readFile(`${tree}.deb`);
}

test.skipIf(why ?? !existsSync("/usr/bin/dpkg-deb"))(
  `of several versions of a package the newest is installed, whichever the order of their checksums${needs}`,
  async () => {
    const built: Record<string, Buffer> = {};
    const versions = ["0.10.0-1", "0.10.0~rc1-1", "0.9.0-1"];
    const [newest, ...older] = await Promise.all(
      versions.map((version) => makeDeb({ version, nonce: 0 })),
    );
    // The newest has neither the lowest nor the highest checksum.
    for (let nonce = 1; sha256(older[0]!) > sha256(newest!); nonce++)
      older[0] = await makeDeb({ version: versions[1]!, nonce });
    for (let nonce = 1; sha256(older[1]!) < sha256(newest!); nonce++)
      older[1] = await makeDeb({ version: versions[2]!, nonce });
    for (const [at, content] of [newest!, ...older].entries())
      for (const architecture of ["amd64", "arm64"])
        built[`mirrorfleet-agent_${versions[at]}_${architecture}.deb`] = content;
    const site = await makeSite({ built });
    const script = `rm -rf /etc/mirrorfleet /srv/mirror
${await site.invite()}
echo "joined $?"
dpkg-query -W mirrorfleet-agent`;
    const { said } = await runInThrowawayRoot({ script, files: await files(site) });
    expect(said).toMatch(/^joined 0$/m);
    expect(said).toMatch(/^mirrorfleet-agent\t0\.10\.0-1$/m);
  },
);

test.skipIf(why)(
  `a host without dpkg gets the executable, and rsync from its own package manager${needs}`,
  async () => {
    const site = await makeSite();
    // What Fedora has, as far as the script asks for it.
    const dnf = `#!/bin/sh\necho "dnf $*"\nmv /opt/test/rsync /usr/bin/rsync\n`;
    const script = `rm -rf /etc/mirrorfleet /srv/mirror
for each in dpkg apt-get; do rm -f "$(command -v $each)"; done
mv "$(command -v rsync)" /opt/test/rsync
printf '${dnf.replaceAll("\n", "\\n")}' >/usr/bin/dnf
printf '#!/bin/sh\\necho "rpm $*"\\nexit 1\\n' >/usr/bin/rpm
chmod 755 /usr/bin/dnf /usr/bin/rpm
${await site.invite()}
echo "joined $?"
command -v mirrorfleet-agent`;
    const { said } = await runInThrowawayRoot({ script, files: await files(site) });
    expect(said).toMatch(/^dnf install -y rsync$/m);
    expect(said).toMatch(/^joined 0\n\/usr\/local\/bin\/mirrorfleet-agent$/m);
    expect(said).not.toMatch(/^rpm /m);
  },
);

test.skipIf(why)(
  `a host that is invited without sources reaches a master that speaks TLS alone, and may pull from it by TLS alone${needs}`,
  async () => {
    const site = await makeSite();
    const port = await freePort();
    const master = await joinAgent(site, {
      directory: site.directory,
      host: "master",
      source: "rsync://*",
      env: { MIRRORFLEET_DAEMON_PORT: String(port) },
    });
    master.run();
    await until("the master has said its key", async () => {
      return (await site.client.getHost("master")).daemon?.keySha256;
    });
    const script = `rm -rf /etc/mirrorfleet /srv/mirror
${await site.invite({ sources: [] })}
echo "joined $?"
cat /etc/mirrorfleet/agent.conf`;
    const { said } = await runInThrowawayRoot({ script, files: await files(site) });
    const source = `rsyncs://127.0.0.1:${port}`;
    expect(said).toMatch(new RegExp(`^ok {4}sources: ${source} reached$`, "m"));
    expect(said).toMatch(/^joined 0$/m);
    expect(said).toContain(`MIRRORFLEET_SOURCES="${source}/"`);
  },
);

test.skipIf(why)(
  `what is wrong with a host is told with its cure, and the same line goes on when it is put right${needs}`,
  async () => {
    const site = await makeSite();
    const line = await site.invite();
    const script = `rm -rf /etc/mirrorfleet /srv/mirror
mkdir -m 700 /srv/mirror
${line}
echo "unwritable $?"
chown mirrorfleet-agent: /srv/mirror
${line}
echo "right $?"
sed -i 's|^MIRRORFLEET_CONTROL_PLANE=.*|MIRRORFLEET_CONTROL_PLANE=https://other.example.org|' /etc/mirrorfleet/agent.conf
${line}
echo "other $?"`;
    const { said } = await runInThrowawayRoot({ script, files: await files(site) });
    expect(said).toMatch(
      /^FAIL {2}mirror roots: \/srv\/mirror is not writable.*chown[^]*unwritable 1$/m,
    );
    expect(said).toContain("put right what says FAIL, then run the same line again");
    expect(said).toMatch(/^right 0$/m);
    expect(said).toContain("names another control plane, https://other.example.org");
    expect(said).toMatch(/^other 1$/m);
  },
);

test("a script that was changed on its way is not run, and the line says so", async () => {
  const site = await makeSite();
  const between = await startManInTheMiddle(site.url);
  const mark = join(site.directory, "was-run");
  between.man.meddle = (answer, { path }) =>
    path === "/v1/public/join.sh" ? { ...answer, body: `touch ${mark}\n${answer.body}` } : answer;
  const line = await site.invite({ at: between.url });
  const ended = run("sh", ["-c", line], { env: { PATH: process.env["PATH"]! } });
  await expect(ended).rejects.toMatchObject({
    code: 1,
    stderr: expect.stringContaining("not the script of this invitation: invite the host again"),
  });
  expect(existsSync(mark)).toBe(false);
  expect((await site.client.getHost("ftp1")).state).toBe("invited");
});

test("the script says what is wrong with how it was run, before it does anything", async () => {
  const site = await makeSite();
  await chmod(site.directory, 0o755);
  const file = join(site.directory, "join.sh");
  await writeFile(file, await (await fetch(`${site.url}/v1/public/join.sh`)).text());
  await chmod(file, 0o644);
  const ordinary = process.getuid?.() === 0 ? ["setpriv", "--reuid=65534", "--clear-groups"] : [];
  const right = ["--control-plane", site.url, "--roots", "/srv/mirror"];
  const wrong: [string[], RegExp][] = [
    [right, /must run as root: become root/],
    [[], /needs --control-plane and --roots/],
    [[...right, "--sauces", "x"], /unknown argument --sauces/],
    [["--control-plane", site.url, "--roots", "/srv/$(id)"], /must be without quotes/],
  ];
  for (const [args, what] of wrong) {
    const [command, ...rest] = [...ordinary, "sh", file, ...args];
    const ended = run(command!, rest, { env: { PATH: process.env["PATH"]! } });
    await expect(ended).rejects.toMatchObject({ code: 1, stderr: expect.stringMatching(what) });
  }
  expect(await readFile(file, "utf8")).toContain(Object.keys(executables)[0]!);
});
