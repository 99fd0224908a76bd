import { AppError } from "../../protocol/errors.ts";
import type { ProjectInput } from "../../protocol/project.ts";
import { parseRsyncUrl } from "../../protocol/rsync.ts";
import { checkZone, firstRun } from "../schedule/next-run.ts";
import { endOfWindows } from "../schedule/time-window.ts";

const invalid = (field: string, message: string) =>
  new AppError("invalid-input", `${field} ${message}`, { fields: [{ field, message }] });

function checkUrl(field: string, url: string): void {
  try {
    parseRsyncUrl(url);
  } catch (cause) {
    throw invalid(field, (cause as Error).message);
  }
}

function checkParts({ upstream, fallbacks, parts }: ProjectInput): void {
  if (upstream !== null && parts.length > 0)
    throw invalid("parts", "cannot stand beside upstream: make the upstream one of the parts");
  if (upstream === null && fallbacks.length > 0)
    throw invalid("fallbacks", "need an upstream that they stand in for");
  for (const [index, { path }] of parts.entries()) {
    const other = parts.find((part, at) => at !== index && `${path}/`.startsWith(`${part.path}/`));
    // One part's deletions would be the other's loss.
    if (other)
      throw invalid(`parts.${index}.path`, `"${path}" lies within "${other.path}" of another part`);
  }
}

/** The sources of a project with the names of their fields, in order. */
function urlsOf({ upstream, fallbacks, parts }: ProjectInput): [string, string][] {
  return [
    ...(upstream === null ? [] : [["upstream", upstream] as [string, string]]),
    ...fallbacks.map((url, index): [string, string] => [`fallbacks.${index}`, url]),
    ...parts.flatMap((part, at): [string, string][] => [
      [`parts.${at}.upstream`, part.upstream],
      ...part.fallbacks.map((url, index): [string, string] => [
        `parts.${at}.fallbacks.${index}`,
        url,
      ]),
    ]),
  ];
}

/** Host of a project's first source; null where it is hosted here. */
export function firstHostOf(input: ProjectInput): string | null {
  const [first] = urlsOf(input);
  return first ? parseRsyncUrl(first[1]).host : null;
}

/** Host that a login is for: the one it names, else that of the first source. */
export function loginHostOf(input: ProjectInput): string | null {
  return input.login?.host ?? firstHostOf(input);
}

function checkLogin(input: ProjectInput): void {
  if (input.login === null) return;
  const host = loginHostOf(input);
  if (!urlsOf(input).some(([, url]) => parseRsyncUrl(url).host === host))
    throw invalid("login.host", `"${host ?? ""}" is not the host of any of the project's sources`);
}

/**
 * Checks what a schema cannot: that every source can be pulled from, that the parts do not overlap,
 * that the schedule can be. @throws AppError `invalid-input` that names the field.
 */
export function checkProject(input: ProjectInput): void {
  for (const [field, url] of urlsOf(input)) checkUrl(field, url);
  checkParts(input);
  checkLogin(input);
  checkZone(input.zone);
  const { startsAt, endsAt, quiet, bandwidthWindows, zone } = input;
  if (startsAt !== null && endsAt !== null && Date.parse(startsAt) >= Date.parse(endsAt))
    throw invalid("endsAt", "must be later than startsAt");
  if (!endOfWindows({ windows: quiet, zone }, { at: new Date() }))
    throw invalid("quiet", "leaves no time of the day in which a run could start");
  endOfWindows({ windows: bandwidthWindows, zone }, { at: new Date() });
}

/** When a project's schedule fires first; null where it has none. @throws AppError `invalid-input` where it never does. */
export function firstTime(input: ProjectInput): Date | null {
  const { schedule } = input;
  return schedule === null ? null : firstRun({ ...input, schedule }, { after: new Date() });
}
