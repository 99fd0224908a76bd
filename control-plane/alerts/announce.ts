import type { MessageKind } from "../../protocol/alert.ts";
import type { Ctx } from "../context.ts";
import { insertMessage } from "../db/queries/alert-messages.ts";
import { lockListening } from "../db/queries/alert-receivers.ts";
import { forgetEnded, markBegun, markReminded } from "../db/queries/alerts-told.ts";

/**
 * Writes a message to each receiver that is not silenced: of what has ended that it was told of, of what
 * goes on that it was not, and reminders. What happens within one look stands in one message of its kind.
 */
export async function announce(ctx: Pick<Ctx, "db" | "now">): Promise<void> {
  for (const receiver of await lockListening(ctx)) {
    const { id: receiverId } = receiver;
    const tell = async (kind: MessageKind, alertIds: string[]) => {
      if (alertIds.length > 0) await insertMessage(ctx, { receiverId, kind, alertIds });
    };
    await tell("closed", await forgetEnded(ctx, { receiverId }));
    await tell("reminder", await markReminded(ctx, { receiver }));
    await tell("opened", await markBegun(ctx, { receiver }));
  }
}
