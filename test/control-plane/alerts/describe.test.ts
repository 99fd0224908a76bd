import { expect, test } from "vitest";
import { describe } from "../../../control-plane/alerts/describe.ts";

test("a message that is cut within a character can be stored all the same", () => {
  for (const before of [300, 301]) {
    const message = "x".repeat(before) + "\u{1f4a5}".repeat(100);
    const detail = describe({
      condition: "failed",
      project: "debian",
      host: "",
      root: "",
      facts: { runs: 3, reason: "failed on master", message },
    });
    expect(detail).toContain("x".repeat(before));
    expect(detail.isWellFormed()).toBe(true);
  }
});
