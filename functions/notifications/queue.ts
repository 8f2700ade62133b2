/** The door of queue `notifications`: an event to be told, a delivery whose try is due, or a recipient to be mailed. */
import { parseNotification } from "../../shared/messages/notification.ts";
import type { MessageHandler } from "../../shared/triggers.ts";
import { deliver } from "./deliver.ts";
import { mail } from "./mail.ts";
import { tell } from "./tell.ts";
import type { NotificationsWorld } from "./world.ts";

export const acceptNotification =
  (world: NotificationsWorld): MessageHandler =>
  async (message) => {
    const notification = parseNotification(message);
    if (notification.kind === "event") await tell(world, notification);
    else if (notification.kind === "mail") await mail(world, { partnerId: notification.partnerId, id: notification.recipientId });
    else await deliver(world, notification);
  };
