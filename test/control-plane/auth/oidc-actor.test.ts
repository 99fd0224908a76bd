import { expect, test } from "vitest";
import { actorOf } from "../../../control-plane/auth/oidc-actor.ts";

const nameOf = (claims: Record<string, unknown>) =>
  actorOf({ sub: "1234", scope: "viewer", ...claims }, { scopeClaim: "scope" }).name;

test("in the audit log nobody passes for another: beside what people choose for themselves stands the subject", () => {
  expect(nameOf({ email: "a@example.org" })).toBe("a@example.org");
  expect(nameOf({ email: "a@example.org", email_verified: true })).toBe("a@example.org");
  expect(nameOf({ email: "boss@example.org", email_verified: false })).toBe(
    "boss@example.org (1234)",
  );
  expect(nameOf({ preferred_username: "first admin" })).toBe("first admin (1234)");
  expect(nameOf({})).toBe("1234");
  expect(nameOf({ preferred_username: "a\u202eb\u0007" })).toBe("ab (1234)");
});
