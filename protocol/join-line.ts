import { AppError } from "./errors.ts";
import type { Joining } from "./host.ts";

/** Where mirrors lie unless somebody says otherwise. */
export const defaultRoot = "/srv/mirror";

/** A word that a POSIX shell takes as it is. */
const shellQuote = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;

/** Neither quotes nor what a shell or a settings file would take for more than text. */
const plain = /^[^\p{Cc}"'`\\$]+$/u;

function checked(text: string, { what }: { what: string }): string {
  if (plain.test(text)) return text;
  throw new AppError("invalid-input", `${what} "${text}" must be without quotes, "$" and "\\"`);
}

function checkedRoot(root: string): string {
  if (root.startsWith("/") && root !== "/" && !root.includes(":"))
    return checked(root, { what: "a mirror root" });
  throw new AppError(
    "invalid-input",
    `a mirror root "${root}" must be an absolute path other than "/", without ":": for example "${defaultRoot}"`,
  );
}

/**
 * The line that installs, joins, checks and starts an agent: for a POSIX shell as root, with curl or wget. The
 * script's checksum is in it; the token goes to the script's standard input, and is in no process's arguments.
 * @throws AppError `invalid-input`.
 */
export function joinLine({
  controlPlane,
  token,
  scriptSha256,
  roots,
  sources,
  replace,
}: {
  controlPlane: string;
  token: string;
  scriptSha256: string;
  /** Mirror roots of the host, the default first. */
  roots: string[];
  /** The only places that it is to pull from. */
  sources: string[];
  /** A host that has joined before is to have new keys. */
  replace: boolean;
}): string {
  const url = checked(controlPlane, { what: "the control plane's address" });
  const script = shellQuote(`${url}/v1/public/join.sh`);
  const rootList = roots.map(checkedRoot).join(":");
  const sourceList = sources.map((source) => checked(source, { what: "a source" })).join(" ");
  const words = [
    "sh",
    '"$f"',
    "--control-plane",
    shellQuote(url),
    "--roots",
    shellQuote(rootList),
    ...(sources.length > 0 ? ["--sources", shellQuote(sourceList)] : []),
    ...(replace ? ["--replace"] : []),
  ];
  return [
    `( f=$(mktemp) && trap 'rm -f "$f"' EXIT && trap 'exit 1' HUP INT TERM`,
    `{ curl -fsSo "$f" ${script} || wget -nv -O "$f" ${script}; }`,
    `{ echo '${scriptSha256} '" $f" | sha256sum -c >/dev/null || { echo 'not the script of this invitation: invite the host again' >&2; false; }; }`,
    `printf '%s\\n' ${shellQuote(token)} | ${words.join(" ")} )`,
  ].join(" && ");
}

/** The second of two steps, where the package is installed by hand: its settings are, too. */
export const joinCommand = ({
  controlPlane,
  token,
  replace,
}: {
  controlPlane: string;
  token: string;
  replace: boolean;
}): string =>
  `MIRRORFLEET_ENROLMENT_TOKEN=${token} mirrorfleet-agent join --control-plane ${controlPlane}${replace ? " --replace" : ""}`;

/** Why there are two steps, for people. */
export const twoSteps = ({ why }: Pick<Joining, "why">): string =>
  `There is no line that also installs the agent: ${why ?? "the control plane has no script"}.`;
