import type { Command } from "commander";
import type { TaskKey } from "../../protocol/task-key.ts";
import { action } from "../context.ts";
import { table, time } from "../format.ts";

const keyTable = (keys: TaskKey[]) =>
  table(
    ["KEY", "STATE", "MADE", "USED FROM"],
    keys.map(({ kid, state, createdAt, usableFrom }) => [
      kid,
      state,
      time(createdAt),
      time(usableFrom),
    ]),
  );

/** `keys`. */
export function addKeys(program: Command): void {
  const keys = program.command("keys").description("the keys that sign task orders");
  keys
    .command("list")
    .description("list them")
    .action(action(async ({ client, print }) => print(await client.listTaskKeys(), keyTable)));
  keys
    .command("rotate")
    .description("publish a new one, used from ten minutes later; agents follow by themselves")
    .action(action(async ({ client, print }) => print(await client.rotateTaskKeys(), keyTable)));
}
