/** Notifications: partners are told what changed, by signed webhooks and by mail. */
import { endpoint } from "../../shared/api/endpoint.ts";
import { registerHttp } from "../../shared/api/register.ts";
import { registerQueue, registerTimer } from "../../shared/triggers.ts";
import {
  deleteWebhook,
  getWebhook,
  listWebhookDeliveries,
  listWebhooks,
  putWebhook,
  redeliverEvent,
  rotateWebhookSecret,
  testWebhook,
} from "./http.ts";
import { acceptNotification } from "./queue.ts";
import {
  askToUnsubscribe,
  confirmMailRecipient,
  deleteMailRecipient,
  getMailRecipient,
  listMailRecipients,
  putMailRecipient,
  sendCode,
  testMailRecipient,
  unsubscribe,
} from "./recipients-http.ts";
import { sweepNotifications } from "./timer.ts";
import type { MailRecipientsWorld, NotificationsWorld, WebhooksWorld } from "./world.ts";

export type { NotificationsWorld } from "./world.ts";

export function registerNotifications(world: NotificationsWorld): void {
  registerWebhookDoors(world);
  registerMailRecipientDoors(world);
  registerQueue("acceptNotification", "notifications", () => acceptNotification(world), world);
  registerTimer("sweepNotifications", "%NOTIFICATIONS_SCHEDULE%", sweepNotifications(world));
}

export function registerWebhookDoors(world: WebhooksWorld): void {
  registerHttp("listWebhooks", endpoint("listWebhooks", world, listWebhooks(world)));
  registerHttp("putWebhook", endpoint("putWebhook", world, putWebhook(world)));
  registerHttp("getWebhook", endpoint("getWebhook", world, getWebhook(world)));
  registerHttp("deleteWebhook", endpoint("deleteWebhook", world, deleteWebhook(world)));
  registerHttp("rotateWebhookSecret", endpoint("rotateWebhookSecret", world, rotateWebhookSecret(world)));
  registerHttp("testWebhook", endpoint("testWebhook", world, testWebhook(world)));
  registerHttp("listWebhookDeliveries", endpoint("listWebhookDeliveries", world, listWebhookDeliveries(world)));
  registerHttp("redeliverEvent", endpoint("redeliverEvent", world, redeliverEvent(world)));
}

export function registerMailRecipientDoors(world: MailRecipientsWorld): void {
  registerHttp("listMailRecipients", endpoint("listMailRecipients", world, listMailRecipients(world)));
  registerHttp("getMailRecipient", endpoint("getMailRecipient", world, getMailRecipient(world)));
  registerHttp("putMailRecipient", endpoint("putMailRecipient", world, putMailRecipient(world)));
  registerHttp("deleteMailRecipient", endpoint("deleteMailRecipient", world, deleteMailRecipient(world)));
  registerHttp("sendCode", endpoint("sendCode", world, sendCode(world)));
  registerHttp("confirmMailRecipient", endpoint("confirmMailRecipient", world, confirmMailRecipient(world)));
  registerHttp("testMailRecipient", endpoint("testMailRecipient", world, testMailRecipient(world)));
  registerHttp("askToUnsubscribe", endpoint("askToUnsubscribe", world, askToUnsubscribe(world)));
  registerHttp("unsubscribe", endpoint("unsubscribe", world, unsubscribe(world)));
}
