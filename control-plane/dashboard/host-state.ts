import type { Host } from "../../protocol/host.ts";
import { html, type Html } from "./html.ts";

/** Whether a host may take part, and is in contact. */
export function hostState({ state, drained, inContact }: Host): Html {
  if (state === "revoked") return html`<span class="chip bad">✗ revoked</span>`;
  if (state === "quarantined") return html`<span class="chip bad">⚠ quarantined</span>`;
  if (state === "invited") return html`<span class="chip wait">◷ invited</span>`;
  return html`${inContact ? html`<span class="chip good">✓ in contact</span>` : html`<span class="chip bad">⚠ out of contact</span>`}${drained && html` <span class="chip wait">P drained</span>`}`;
}

/** How far its clock is off; empty: not known yet. */
export function skewOf({ clockSkewSeconds: skew }: Host): string {
  if (skew === null) return "";
  return Math.abs(skew) < 0.5 ? "right" : `${skew > 0 ? "+" : "−"}${Math.abs(skew).toFixed(1)} s`;
}
