// Leases of 12 seconds instead of 120: what needs minutes in a fleet needs seconds here.
import { rewrite } from "./rewrite.ts";

rewrite({
  file: "/control-plane/dispatch/lease.ts",
  from: "export const leaseSeconds = 120;",
  to: "export const leaseSeconds = 12;",
});
