import { expect, test } from "vitest";
import { blockedPorts } from "../../../control-plane/alerts/blocked-ports.ts";
import { checkReceiver } from "../../../control-plane/alerts/check-receiver.ts";
import { webhookSecret } from "../../helpers/receivers.ts";

/** Sends nothing: what comes so far, fetch does not block. */
const dispatcher = {
  dispatch: () => {
    throw new Error("allowed");
  },
};

test("the ports that are refused are those that this Node's fetch blocks", async () => {
  const blocked: number[] = [];
  for (let port = 1; port < 20_000; port++)
    await fetch(`http://receiver.example:${port}/`, { dispatcher } as unknown as RequestInit).catch(
      ({ cause }: Error) => {
        if ((cause as Error | undefined)?.message === "bad port") blocked.push(port);
      },
    );
  expect(blocked).toEqual([...blockedPorts]);
});

const receiver = { secret: null, room: null, from: null, to: [] };

test.each([25, 22, 6667, 6000])(
  "a receiver at port %i, where no message could ever arrive, is refused with the field at fault",
  (port) => {
    for (const kind of ["slack", "mattermost", "webhook", "matrix"] as const)
      expect(() =>
        checkReceiver({ ...receiver, kind, url: `https://alerts.example.org:${port}/hook` }),
      ).toThrow(
        expect.objectContaining({
          code: "invalid-input",
          message: expect.stringContaining(`must not name port ${port}`),
          fields: [expect.objectContaining({ field: "url" })],
        }),
      );
  },
);

test("other ports are taken, and mail goes to its own", () => {
  const webhook = { ...receiver, kind: "webhook" as const, secret: webhookSecret };
  for (const port of [80, 443, 8080, 6668 + 2])
    expect(checkReceiver({ ...webhook, url: `http://127.0.0.1:${port}/` }).address).toBeTruthy();
  const mail = {
    ...receiver,
    kind: "email" as const,
    from: "a@example.org",
    to: ["b@example.org"],
  };
  expect(checkReceiver({ ...mail, url: "smtp://localhost:25" })).toEqual({
    address: "smtp://localhost:25",
  });
});
