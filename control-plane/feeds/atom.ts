// Under its own name the formatter would lay it out as a page.
import { html as xml } from "hono/html";
import type { Site } from "../../protocol/site.ts";

type Event = {
  id: string;
  project: string;
  kind: "failed" | "recovered";
  reason: string | null;
  at: Date;
};

/** Text without what XML 1.0 cannot hold; the template escapes the rest. */
const harmless = (text: string) =>
  text.replaceAll(/[^\t\n\r\u{20}-\u{D7FF}\u{E000}-\u{FFFD}\u{10000}-\u{10FFFF}]/gu, "\uFFFD");

const entry = ({ id, project, kind, reason, at }: Event) => xml`  <entry>
    <id>urn:uuid:${id}</id>
    <title>${harmless(`${project} ${kind}`)}</title>
    <published>${at.toISOString()}</published>
    <updated>${at.toISOString()}</updated>
    <category term="${kind}"/>
    <content type="text">${harmless(reason ?? `${project} is in sync again`)}</content>
  </entry>
`;

/** Failures and recoveries as an Atom feed (RFC 4287). `begun`: when there was nothing to tell yet. */
export async function atomFeed({
  identity,
  begun,
  site,
  events,
}: {
  identity: string;
  begun: Date;
  site: Site | null;
  events: Event[];
}): Promise<string> {
  const name = harmless(site?.name ?? site?.abbr ?? "mirrorfleet");
  const updated = (events[0]?.at ?? begun).toISOString();
  const entries = events.map(entry);
  const feed = await xml`<feed xmlns="http://www.w3.org/2005/Atom">
  <id>urn:mirrorfleet:feed:${identity}</id>
  <title>${name}: failures and recoveries</title>
  <author><name>${name}</name></author>
  <link rel="self" type="application/atom+xml" href="feed.atom"/>
  <updated>${updated}</updated>
${entries}</feed>
`;
  return `<?xml version="1.0" encoding="utf-8"?>\n${feed}`;
}
