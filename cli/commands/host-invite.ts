import type { Command } from "commander";
import type { HostInvite, Role } from "../../protocol/host.ts";
import { AppError } from "../../protocol/errors.ts";
import { defaultRoot, joinCommand, joinLine, twoSteps } from "../../protocol/join-line.ts";
import { action, type CliCtx } from "../context.ts";
import { time } from "../format.ts";
import { collect } from "../project-fields.ts";

type InviteOptions = {
  role?: Role[];
  address?: string[];
  root?: string[];
  source?: string[];
  replace?: boolean;
};

/** What to do on the host: one line where the control plane has packages, else what is left when the agent is installed. */
function inviteText(
  { host, enrolment: { token, expiresAt }, joining }: HostInvite,
  {
    url,
    root = [defaultRoot],
    source = joining.sources,
    replace = false,
  }: InviteOptions & { url: string },
): string {
  const until = `until ${time(expiresAt)}, once`;
  const command = joinCommand({ controlPlane: url, token, replace });
  const { scriptSha256 } = joining;
  if (scriptSha256 === null)
    return `${twoSteps(joining)}\nInstall it on ${host.name}, write its settings (/etc/mirrorfleet/agent.conf), and then as its user, ${until}:\n\n  ${command}\n`;
  const input = { controlPlane: url, token, scriptSha256, roots: root, sources: source, replace };
  const missing =
    source.length > 0
      ? ""
      : `It names no place to pull from: add --source rsync://… for each upstream, or write MIRRORFLEET_SOURCES on the host.\n\n`;
  return `On host ${host.name}, as root, ${until}: it installs the agent, joins, checks and starts.\n\n  ${joinLine(input)}\n\n${missing}Where the agent is installed and set up already, as its user instead:\n\n  ${command}\n`;
}

async function invite(
  { client, url, print }: CliCtx,
  { name, ...options }: InviteOptions & { name: string },
) {
  const { role, address, root = [], source = [] } = options;
  // What the line cannot hold is refused before there is a token.
  joinLine({
    controlPlane: url,
    token: "",
    scriptSha256: "",
    roots: root,
    sources: source,
    replace: false,
  });
  const invited =
    role || address
      ? await client.createHost({ name, roles: role ?? ["ftp"], addresses: address ?? [] })
      : await client.inviteHost(name).catch((error: unknown) => {
          throw error instanceof AppError && error.code === "not-found"
            ? new AppError(
                "not-found",
                `there is no host "${name}" yet: to make it, say its --role and --address`,
                { cause: error },
              )
            : error;
        });
  print(invited, () => inviteText(invited, { ...options, url }));
}

/** `host invite`. */
export function addHostInvite(host: Command): void {
  host
    .command("invite")
    .description("make a host and print the line to run on it; a host that exists is invited again")
    .argument("<name>")
    .option("--role <role>", "master or ftp; may be repeated", collect)
    .option(
      "--address <address>",
      "as the other hosts see it: IP address, range or DNS name; may be repeated",
      collect,
    )
    .option(
      "--root <directory>",
      `mirror root of the host, the default first; may be repeated (default ${defaultRoot})`,
      collect,
    )
    .option(
      "--source <url>",
      "place that the host may pull from; may be repeated (default for an FTP host: the masters)",
      collect,
    )
    .option("--replace", "for a machine that has joined before: it takes new keys")
    .action(
      action<InviteOptions>(async (ctx, { args: [name], options }) =>
        invite(ctx, { name: name!, ...options }),
      ),
    );
}
