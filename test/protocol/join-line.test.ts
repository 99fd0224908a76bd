import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { joinLine } from "../../protocol/join-line.ts";

const input = {
  controlPlane: "https://mirror-control.example.org",
  token: `mfe_${"A".repeat(43)}.${"B".repeat(43)}`,
  scriptSha256: "0".repeat(64),
  roots: ["/srv/mirror"],
  sources: ["rsync://192.0.2.1:8873/"],
  replace: false,
};

test("the line is one line, holds each value as one word, and the token in no program's arguments", () => {
  const line = joinLine({ ...input, roots: ["/srv/my mirror", "/srv/b"], replace: true });
  expect(line).not.toContain("\n");
  expect(line).toContain(
    `--roots '/srv/my mirror:/srv/b' --sources 'rsync://192.0.2.1:8873/' --replace )`,
  );
  expect(line).toContain(`printf '%s\\n' '${input.token}' | sh "$f" --control-plane`);
  expect(line.split(input.token)).toHaveLength(2);
});

test("without a place to pull from the line names none", () => {
  expect(joinLine({ ...input, sources: [] })).not.toContain("--sources");
});

test.each(["bash", "dash"])("%s takes the line for what it is meant to be", async (shell) => {
  const line = joinLine(input);
  await promisify(execFile)(shell, ["-n", "-c", line]);
});

test.each(["'", '"', "$", "`", "\\", "\n"])("a value with %j is refused, not quoted", (sign) => {
  for (const wrong of [
    { roots: [`/srv/${sign}`] },
    { sources: [`rsync://a/${sign}/`] },
    { controlPlane: `https://a/${sign}` },
  ])
    expect(() => joinLine({ ...input, ...wrong })).toThrow(/without quotes/);
});

test.each(["srv/mirror", "/", "/srv/a:b", ""])("%j is no mirror root", (root) => {
  expect(() => joinLine({ ...input, roots: [root] })).toThrow(/must be an absolute path/);
});
