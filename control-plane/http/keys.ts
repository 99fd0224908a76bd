import { taskKeysSchema } from "../../protocol/task-key.ts";
import { readTaskKeys, rotateTaskKeys } from "../auth/task-keys.ts";
import { change, type Operation, read } from "./operation.ts";

const tag = "tokens";

/** The keys that sign task orders. */
export const keyOperations: Operation[] = [
  read(
    {
      id: "listTaskKeys",
      method: "GET",
      path: "/v1/task-keys",
      tag,
      access: "admin",
      summary: "List the keys that sign task orders",
      answer: taskKeysSchema,
    },
    async (ctx) => ({ items: await readTaskKeys(ctx) }),
  ),
  change(
    {
      id: "rotateTaskKeys",
      method: "POST",
      path: "/v1/task-keys/rotate",
      tag,
      access: "admin",
      summary:
        "Publish a new key, used from ten minutes later; agents follow without enrolling again",
      answer: taskKeysSchema,
      status: 201,
      errors: ["conflict"],
    },
    async (ctx) => {
      const items = await rotateTaskKeys(ctx);
      return { answer: { items }, after: items };
    },
  ),
];
