import type { Hono } from "hono";
import type { Host } from "../../protocol/host.ts";
import { readHosts } from "../db/queries/hosts.ts";
import { hostState, skewOf } from "./host-state.ts";
import { html, type Html } from "./html.ts";
import { answerPage } from "./layout.ts";
import { may, type SignedIn } from "./session.ts";
import type { Site } from "./site.ts";
import { size, when } from "./words.ts";

/** Hosts that the page shows. */
const most = 1000;

function hostRow(host: Host): Html {
  const free = host.disks.map(({ freeBytes }) => freeBytes);
  return html`<tr>
    <th scope="row"><a href="/hosts/${host.name}">${host.name}</a></th>
    <td>${host.roles.join(", ")}</td>
    <td>${hostState(host)}</td>
    <td class="num">${host.runningTasks}${host.parallel !== null && ` of ${host.parallel}`}</td>
    <td>${host.agentVersion}</td>
    <td>${host.rsyncVersion}</td>
    <td class="num">${free.length > 0 && size(Math.min(...free))}</td>
    <td class="num">${skewOf(host)}</td>
    <td>${when(host.lastSeenAt)}</td>
  </tr>`;
}

/** All hosts. */
export function addHostsPage(app: Hono<SignedIn>, site: Site): void {
  app.get("/hosts", async (c) => {
    const { items } = await readHosts(site.ctx, { limit: most });
    return answerPage(site, c, {
      title: "Hosts",
      section: "hosts",
      content: html`<div class="bar">
          <h1>Hosts</h1>
          ${may(c.get("actor"), "admin") && html`<a class="button" href="/admin#invite">Invite a host</a>`}
        </div>
        <div class="scroll card">
          <table>
            <thead>
              <tr>
                <th scope="col">Host</th>
                <th scope="col">Roles</th>
                <th scope="col">State</th>
                <th scope="col">Runs</th>
                <th scope="col">Agent</th>
                <th scope="col">rsync</th>
                <th scope="col">Least free</th>
                <th scope="col">Clock</th>
                <th scope="col">Seen</th>
              </tr>
            </thead>
            <tbody>
              ${items.map(hostRow)}
            </tbody>
          </table>
        </div>`,
    });
  });
}
