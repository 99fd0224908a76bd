import type { Host } from "../../protocol/host.ts";
import { skewOf } from "./host-state.ts";
import { html, type Html } from "./html.ts";
import { count, plural, size } from "./words.ts";

/** What becomes of files that a sync deletes. */
function deletedWords({ quarantineDays: days }: Host): string {
  if (days === null) return "not known: its agent is too old to say";
  return days === 0 ? "gone at once: it has no quarantine" : `kept for ${plural(days, "day")}`;
}

/** How FTP hosts reach a master's rsync daemon; the key as "mirrorfleet-agent check" says it on the master. */
function daemonWords({ daemon }: Host): Html {
  if (daemon === null) return html`not known yet`;
  const { port, keySha256 } = daemon;
  return keySha256 === null
    ? html`plain rsync on port ${port}, without TLS`
    : html`TLS on port ${port}, with the key <code>${keySha256}</code> (SHA-256)`;
}

/** Share of a root that is taken, as a meter with its words. */
function disk({
  path,
  totalBytes,
  freeBytes,
  totalInodes,
  freeInodes,
  fullAt,
}: Host["disks"][number]): Html {
  const taken = totalBytes > 0 ? (100 * (totalBytes - freeBytes)) / totalBytes : 0;
  return html`<li>
    <code>${path}</code><br /><meter
      min="0"
      max="100"
      high="90"
      value="${Math.round(taken)}"
      aria-label="Taken"
    ></meter>
    <small
      >${taken.toFixed(0)} % taken, ${size(freeBytes)} of ${size(totalBytes)}
      free${totalInodes > 0 && html`, ${count(freeInodes)} inodes free`}${fullAt !== null && html`; full about <time datetime="${fullAt}">${fullAt.slice(0, 10)}</time> if it goes on as of late`}</small
    >
  </li>`;
}

/** What a host is, and what its agent says of the machine. */
export function hostFacts(host: Host): Html {
  const { roots, disks } = host;
  const silent = roots.filter((root) => !disks.some(({ path }) => path === root));
  return html`<dl class="facts">
    <dt>Roles</dt>
    <dd>${host.roles.join(", ")}</dd>
    <dt>Addresses</dt>
    <dd>${host.addresses.join(", ")}</dd>
    <dt>Labels</dt>
    <dd>
      ${Object.entries(host.labels).map(([key, value]) => html`<code>${key}=${value}</code> `)}
    </dd>
    <dt>Tasks at a time</dt>
    <dd>${host.parallel ?? "as its agent is set"}</dd>
    ${
      host.roles.includes("master") &&
      html`<dt>Serves at a time</dt>
        <dd>${host.serves ?? "all"}</dd>
        <dt>rsync daemon</dt>
        <dd>${daemonWords(host)}</dd>`
    }
    <dt>Agent</dt>
    <dd>${host.agentVersion}</dd>
    <dt>rsync</dt>
    <dd>${host.rsyncVersion}</dd>
    <dt>Deleted files</dt>
    <dd>${deletedWords(host)}</dd>
    <dt>Clock</dt>
    <dd>${skewOf(host) || "not known yet"}</dd>
    <dt>Mirror roots</dt>
    <dd>
      <ul class="paths">
        ${disks.map(disk)}${silent.map((path) => html`<li><code>${path}</code> <small>has not said how full it is</small></li>`)}
      </ul>
    </dd>
  </dl>`;
}
