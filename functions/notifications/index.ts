/** Notifications: partners are told what changed, by signed webhooks. */
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
import { sweepNotifications } from "./timer.ts";
import type { NotificationsWorld, WebhooksWorld } from "./world.ts";

export type { NotificationsWorld } from "./world.ts";

export function registerNotifications(world: NotificationsWorld): void {
  registerWebhookDoors(world);
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
