import { expect, test } from "vitest";
import { browse } from "../../helpers/browse.ts";
import { createProject, useFleet } from "../../helpers/fleet.ts";

const fleet = useFleet();

/** A page's text, without what makes it a page. */
async function textOf(path: string): Promise<string> {
  const { get, post } = browse(fleet.current.app);
  await post("/sign-in", { token: fleet.current.admin });
  const page = await (await get(path)).text();
  return page.replaceAll(/<[^>]*>/g, " ").replaceAll(/\s+/g, " ");
}

test("a master's page says whether its daemon speaks TLS, and the key that it shows", async () => {
  const { master } = fleet.current;
  expect(await textOf("/hosts/master")).toContain("rsync daemon not known yet");
  const keySha256 = "0123456789abcdef".repeat(4);
  const tell = (daemonKeySha256: string | null) =>
    master.poll({ facts: { rsyncVersion: "3.4.1", roots: [], tls: { daemonKeySha256 } } });
  await tell(keySha256);
  expect(await textOf("/hosts/master")).toContain(
    `rsync daemon TLS on port 8873, with the key ${keySha256} (SHA-256)`,
  );
  await tell(null);
  expect(await textOf("/hosts/master")).toContain(
    "rsync daemon plain rsync on port 8873, without TLS",
  );
  expect(await textOf("/hosts/ftp1")).not.toContain("rsync daemon");
});

test("a host's page tells a project that is paused everywhere from one that is paused on that host", async () => {
  const { operate } = fleet.current;
  for (const name of ["debian", "fedora", "arch"]) {
    const upstream = `rsync://upstream.example.org/${name}`;
    await createProject(fleet.current, { name, path: name, upstream });
  }
  await operate("POST", "/v1/projects/debian/pause");
  await operate("POST", "/v1/projects/fedora/replicas/ftp1/pause");
  const text = await textOf("/hosts/ftp1");
  expect(text).toContain("debian ftp P project paused");
  expect(text).toContain("fedora ftp P paused here");
  expect(text).toContain("arch ftp – never synced");
  expect(await textOf("/hosts/ftp2")).toContain("fedora ftp – never synced");
});
