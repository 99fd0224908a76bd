import { createHash, createPrivateKey, type KeyObject, randomUUID, sign } from "node:crypto";
import type { PollAnswer } from "../../protocol/fleet.ts";
import { signatureAlgorithm, tokenTypes } from "../../protocol/order.ts";
import type { Result } from "../../protocol/report.ts";
import type { Line } from "./line.ts";

/** An enrolled host with its private key (PKCS #8, base64). */
export type Host = { id: string; name: string; master: boolean; key: string };
/** Where agents poll, and whose they are. */
export type Fleet = { host: string; port: number; identity: string };

const base64url = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
const header = base64url({ alg: signatureAlgorithm, typ: tokenTypes.agent });

/** The agent's request token: the same claims and signature as the real agent's. */
function requestToken(
  { identity }: Fleet,
  { id, key, path, body }: { id: string; key: KeyObject; path: string; body: string },
): string {
  const now = Math.floor(Date.now() / 1000);
  const claims = base64url({
    htm: "POST",
    htu: path,
    bsh: createHash("sha256").update(body).digest("base64url"),
    iss: id,
    aud: identity,
    jti: randomUUID(),
    iat: now,
    exp: now + 60,
  });
  const signature = sign(null, Buffer.from(`${header}.${claims}`), key).toString("base64url");
  return `${header}.${claims}.${signature}`;
}

const result: Result = {
  outcome: "ok",
  exitCode: 0,
  message: "",
  changes: 1,
  stats: null,
  changeList: null,
  scanned: true,
  drift: null,
  uncertain: false,
  held: null,
  seconds: 0.1,
  logBytes: 0,
};
const progress = {
  bytes: 1,
  percent: 50,
  bytesPerSecond: 1,
  filesTransferred: 1,
  filesChecked: 1,
  filesTotal: 2,
};

function parsed(answer: { status: number; body: string }): unknown {
  if (answer.status !== 200) throw new Error(`${answer.status}: ${answer.body}`);
  return JSON.parse(answer.body);
}

/** An agent's side of the protocol, with everything but the rsync. */
export function makeAgent(fleet: Fleet, { id, master, key: pkcs8 }: Host) {
  const key = createPrivateKey({
    key: Buffer.from(pkcs8, "base64"),
    format: "der",
    type: "pkcs8",
  });
  let daemonUsersVersion: string | null = null;
  let standingVersion: string | null = null;
  const poll = async (line: Line): Promise<PollAnswer["lease"]> => {
    const path = "/v1/agent/poll";
    const body = JSON.stringify({
      pollId: randomUUID(),
      agentVersion: "bench",
      waitSeconds: 25,
      daemonUsersVersion,
      daemonPort: master ? 8873 : null,
      roots: [{ path: "/srv/mirror", module: master ? "mirror" : null }],
      standingVersion,
      busy: [],
    });
    const authorization = requestToken(fleet, { id, key, path, body });
    const answer = parsed(
      await line.request({ method: "POST", path, authorization, body }),
    ) as PollAnswer;
    ({ daemonUsersVersion, standingVersion } = answer);
    return answer.lease;
  };
  const report = async (
    line: Line,
    { taskToken }: { taskToken: string },
    [kind, content]: [string, unknown],
  ) => {
    const { sub } = JSON.parse(Buffer.from(taskToken.split(".")[1]!, "base64url").toString());
    const path = `/v1/tasks/${sub}/${kind}`;
    parsed(
      await line.request({
        method: "POST",
        path,
        authorization: taskToken,
        body: JSON.stringify(content),
      }),
    );
  };
  const heartbeat = (line: Line, lease: { taskToken: string }) =>
    report(line, lease, ["heartbeat", { progress }]);
  const finish = (line: Line, lease: { taskToken: string }) =>
    report(line, lease, ["result", result]);
  return { poll, heartbeat, finish };
}
