import type { Report } from "../protocol/report.ts";
import type { Source } from "../protocol/rsync.ts";
import { version } from "../protocol/version.ts";

const creator = "mirrorfleet-agent";
/** Tells a host's own file from that of another one with the same name, of an upstream's fleet. */
const idKey = "Mirrorfleet-Host";

/** As `date -u` writes it in the POSIX locale. */
function dateLine(at: Date): string {
  const [weekday, day, month, year, time] = at.toUTCString().replace(",", "").split(" ");
  return `${weekday} ${month} ${String(Number(day)).padStart(2)} ${time} UTC ${year}`;
}

/** As `date -R` writes it. */
const mailDate = (at: Date) => at.toUTCString().replace("GMT", "+0000");

/** The number of the archive's state, of the text of a Debian trace file; null where it names none. */
export const serialOf = (text: string): string | null =>
  /^Archive serial:[ \t]*(\d{1,20})[ \t]*$/im.exec(text)?.[1] ?? null;

/** Did this host write that trace file? */
export const isBy = (text: string, { hostId }: { hostId: string }): boolean =>
  text.split("\n").includes(`${idKey}: ${hostId}`);

/** A trace file as Debian's ftpsync writes it, with what is known here. */
export function debianTrace({
  startedAt,
  endedAt,
  host,
  hostId,
  sources,
  serial,
  report: { stats, seconds },
}: {
  startedAt: Date;
  endedAt: Date;
  host: string;
  hostId: string;
  /** Where the rsyncs pulled from. */
  sources: Source[];
  serial: string | null;
  report: Pick<Report, "stats" | "seconds">;
}): string {
  const upstreams = [...new Set(sources.map((source) => source.host))];
  const transport = sources.every(({ tls }) => tls) ? "ssl" : "plain";
  const rate = stats && seconds > 0 ? Math.round(stats.receivedBytes / seconds) : null;
  return [
    dateLine(endedAt),
    `Date: ${mailDate(endedAt)}`,
    `Date-Started: ${mailDate(startedAt)}`,
    ...(serial === null ? [] : [`Archive serial: ${serial}`]),
    `Creator: ${creator} ${version}`,
    `Running on host: ${host}`,
    `${idKey}: ${hostId}`,
    `Upstream-mirror: ${upstreams.join(" ")}`,
    `Rsync-Transport: ${transport}`,
    ...(stats ? [`Total bytes received in rsync: ${stats.receivedBytes}`] : []),
    `Total time spent in rsync: ${Math.round(seconds)}`,
    ...(rate === null ? [] : [`Average rate: ${rate} B/s`]),
    "",
  ].join("\n");
}

/** Seconds since 1970, a line. */
export const timestamp = (at: Date): string => `${Math.floor(at.getTime() / 1000)}\n`;
