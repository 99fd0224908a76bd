import type { Context } from "hono";
import type { HostInvite } from "../../protocol/host.ts";
import { defaultRoot, joinCommand, joinLine, twoSteps } from "../../protocol/join-line.ts";
import { field, type Filled, formError } from "./fields.ts";
import { html, type Html } from "./html.ts";
import { when } from "./words.ts";

/** Makes a host, and invites it. */
export function invitationForm(filled: Filled): Html {
  return html`<form method="post" action="/admin/hosts" class="card" id="invite">
    <h2>Invite a host</h2>
    ${formError(filled)}
    ${field(filled, { name: "text:name", label: "Name", required: true, hint: "ftp-nyc" })}
    ${field(filled, {
      name: "lines:roles",
      label: "Role",
      options: [
        { value: "ftp", text: "ftp: pulls from the master" },
        { value: "master", text: "master: pulls from upstreams" },
        { value: "master\nftp", text: "both" },
      ],
    })}
    ${field(filled, { name: "lines:addresses", label: "Addresses", type: "area", required: true, hint: "As the other hosts see it, one a line: 192.0.2.10" })}
    <button>Invite</button>
  </form>`;
}

/** The address that the browser has used: behind a TLS proxy, the request's own has another scheme. */
function siteOf(c: Context): string {
  const origin = c.req.header("origin") ?? "";
  return new URL(URL.canParse(origin) ? origin : c.req.url).origin;
}

/** What to do on the host: the same line as on the command line, or what is left when the agent is installed. */
export function joinText(c: Context, { host, enrolment, joining }: HostInvite): Html {
  const { token, expiresAt } = enrolment;
  const { scriptSha256, sources } = joining;
  const controlPlane = siteOf(c);
  const line =
    scriptSha256 === null
      ? joinCommand({ controlPlane, token, replace: false })
      : joinLine({
          controlPlane,
          token,
          scriptSha256,
          roots: [defaultRoot],
          sources,
          replace: false,
        });
  return html`${
      scriptSha256 === null
        ? html`<p>
            ${twoSteps(joining)} Install it on ${host.name}, write its settings, and then, as its
            user:
          </p>`
        : html`<p>
            Type this on ${host.name}, as root: it installs the agent, joins, checks and starts. Add
            <code>--replace</code> at its end, before the parenthesis, where that machine has joined
            before.
          </p>`
    }
    <p>It works once, until ${when(expiresAt)}, and is not shown again.</p>
    <pre id="once" class="secret" tabindex="0">${line}</pre>`;
}
