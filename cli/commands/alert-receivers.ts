import { type Command, Option } from "commander";
import {
  type AlertCondition,
  alertConditions,
  type Receiver,
  type ReceiverKind,
  receiverKinds,
} from "../../protocol/alert.ts";
import { AppError } from "../../protocol/errors.ts";
import { action } from "../context.ts";
import { exitFailed } from "../exit-status.ts";
import { ago, table, time } from "../format.ts";
import { collect } from "../project-fields.ts";
import { readSecret } from "../read-secret.ts";
import { wholeNumberOptionOr } from "../whole-number.ts";

function stateOf({ silencedUntil, waitingMessages, lastError }: Receiver): string {
  if (silencedUntil !== null && Date.parse(silencedUntil) > Date.now())
    return `silent until ${time(silencedUntil)}`;
  return waitingMessages === 0 ? "" : `${waitingMessages} waiting: ${lastError ?? "being sent"}`;
}

const receiverTable = (receivers: Receiver[]) =>
  table(
    ["NAME", "KIND", "ADDRESS", "CONDITIONS", "DELIVERED", "STATE"],
    receivers.map((receiver) => [
      receiver.name,
      receiver.kind,
      [receiver.address, receiver.room, ...receiver.to].filter(Boolean).join(" "),
      receiver.conditions.length === alertConditions.length ? "all" : receiver.conditions.join(","),
      ago(receiver.lastDeliveredAt),
      stateOf(receiver),
    ]),
  );

type Said = {
  room?: string;
  from?: string;
  to?: string[];
  condition?: AlertCondition[];
  project?: string[];
  host?: string[];
  remindHours?: number | null;
};

const namesOrAll = (names: string[]) => (names.includes("all") ? null : names);

/** The fields that options name, as a body has them. */
const fieldsOf = ({ room, from, to, condition, project, host, remindHours }: Said) => ({
  ...(room !== undefined && { room }),
  ...(from !== undefined && { from }),
  ...(to && { to }),
  ...(condition && { conditions: condition }),
  ...(project && { projects: namesOrAll(project) }),
  ...(host && { hosts: namesOrAll(host) }),
  ...(remindHours !== undefined && { remindHours }),
});

/** What must not stand in an argument: a signing secret or access token, else the URL, which may hold one. */
async function secretsOf({
  kind,
  url,
}: {
  kind: ReceiverKind;
  url: string | undefined;
}): Promise<{ url: string; secret?: string }> {
  if (kind !== "webhook" && kind !== "matrix")
    return { url: url ?? (await readSecret("URL, with what is secret in it: ")) };
  if (url === undefined)
    throw new AppError("invalid-input", `the URL is missing: ${kind} needs it`);
  const what = kind === "webhook" ? "Signing secret (whsec_…): " : "Access token: ";
  return { url, secret: await readSecret(what) };
}

/** "4h" or "2d" from now, or a time; "none" is null. */
function silenceEnd(text: string): string | null {
  if (text === "none") return null;
  const [, number, unit] = /^(\d{1,5})([hd])$/.exec(text) ?? [];
  if (number !== undefined)
    return new Date(
      Date.now() + Number(number) * (unit === "h" ? 3_600_000 : 86_400_000),
    ).toISOString();
  if (Number.isNaN(Date.parse(text)))
    throw new AppError(
      "invalid-input",
      `--until "${text}" must be hours ("4h"), days ("2d"), a time, or "none"`,
    );
  return new Date(text).toISOString();
}

const withFields = (command: Command) =>
  command
    .option("--room <id>", "of Matrix: the room's id")
    .option("--from <address>", "of e-mail: the sender")
    .option("--to <address>", "of e-mail; may be repeated", collect)
    .option("--condition <condition>", `${alertConditions.join(", ")}; may be repeated`, collect)
    .option("--project <name>", 'tell of these alone, or "all"; may be repeated', collect)
    .option("--host <name>", 'tell of what is on these alone, or "all"; may be repeated', collect)
    .option(
      "--remind-hours <n>",
      'tell again of what goes on (default 24); "never"',
      wholeNumberOptionOr("never"),
    );

/** Who is told of alerts. */
export function addReceivers(alert: Command): void {
  alert
    .command("receivers")
    .description("list who is told, and whether messages wait; URLs and secrets cannot be read")
    .action(
      action(async ({ client, print }) => print(await client.listAlertReceivers(), receiverTable)),
    );
  withFields(alert.command("add"))
    .description("make a receiver; a secret is asked for, or read from standard input")
    .argument("<name>")
    .argument(
      "[url]",
      "of a webhook or a Matrix homeserver; of another kind it may hold a secret: left out, it is asked for",
    )
    .addOption(new Option("--kind <kind>", "where to").choices(receiverKinds).makeOptionMandatory())
    .action(
      action<Said & { kind: ReceiverKind }>(
        async ({ client, print }, { args: [name, url], options: { kind, ...said } }) => {
          const secrets = await secretsOf({ kind, url });
          const body = { name: name!, kind, ...secrets, ...fieldsOf(said) };
          print(await client.createAlertReceiver(body), (made) => receiverTable([made]));
        },
      ),
    );
  withFields(alert.command("set"))
    .description("change a receiver; what waits for it is tried again at once")
    .argument("<name>")
    .option("--ask-url", "ask for another URL, or read it from standard input")
    .option("--ask-secret", "the same of its secret")
    .action(
      action<Said & { askUrl?: boolean; askSecret?: boolean }>(
        async ({ client, print }, { args: [name], options: { askUrl, askSecret, ...said } }) => {
          const body = {
            ...fieldsOf(said),
            ...(askUrl && { url: await readSecret("URL: ") }),
            ...(askSecret && { secret: await readSecret("Secret: ") }),
          };
          print(await client.patchAlertReceiver(name!, body), (changed) =>
            receiverTable([changed]),
          );
        },
      ),
    );
  alert
    .command("remove")
    .description("remove a receiver with what waits for it")
    .argument("<name>")
    .action(
      action(async ({ client, print }, { args: [name] }) =>
        print(await client.deleteAlertReceiver(name!), (gone) => `${gone.name}: removed`),
      ),
    );
  alert
    .command("test")
    .description("send a receiver a message that tells nothing")
    .argument("<name>")
    .action(
      action(async ({ client, print }, { args: [name] }) => {
        const ended = await client.testAlertReceiver(name!);
        print(ended, ({ error }) => (error === null ? "delivered" : `not delivered: ${error}`));
        if (!ended.delivered) process.exitCode = exitFailed;
      }),
    );
  alert
    .command("silence")
    .description("tell a receiver nothing for a time; then what began meanwhile and goes on")
    .argument("<name>")
    .requiredOption("--until <when>", '"4h", "2d", a time; "none" ends a silence')
    .action(
      action<{ until: string }>(async ({ client, print }, { args: [name], options }) =>
        print(await client.silenceAlertReceiver(name!, silenceEnd(options.until)), (receiver) =>
          receiverTable([receiver]),
        ),
      ),
    );
}
