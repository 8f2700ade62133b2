/** Tells an event: a delivery to each webhook that wants its type, a line in the next mail of each such recipient. Done again it finds them. */
import type { Clock } from "../../shared/clock.ts";
import type { EventName } from "../../shared/stores/events.ts";
import type { DeliveryRecord } from "../../shared/stores/deliveries.ts";
import type { Versioned } from "../../shared/stores/table.ts";
import type { WebhookRecord } from "../../shared/stores/webhooks.ts";
import type { Notice } from "../../shared/webhooks/message.ts";
import { tellsNow } from "../../shared/stores/mail-recipients.ts";
import { schedule } from "./deliver.ts";
import { putInOutbox } from "./mail.ts";
import { LIFETIME_IN_MILLISECONDS } from "./tries.ts";
import type { NotificationsWorld, WebhooksWorld } from "./world.ts";

export async function tell(world: NotificationsWorld, name: EventName): Promise<void> {
  const { stores } = world;
  const event = await stores.events.findUntold(name);
  if (!event) return;
  const { partnerId, ...notice } = event;
  for (const { webhook } of await stores.webhooks.list(partnerId))
    if (webhook.enabled && wants(webhook, notice.type)) await openDelivery(world, webhook, notice);
  for (const { recipient, mail } of await stores.mailRecipients.list(partnerId))
    if (tellsNow(recipient) && wants(recipient, notice.type)) await putInOutbox(world, recipient, mail, notice);
  await stores.events.markTold(name);
}

/** And sets off its first try. */
export async function openDelivery(
  world: Pick<WebhooksWorld, "stores" | "clock" | "sender">,
  { partnerId, id: webhookId }: WebhookRecord,
  notice: Notice,
): Promise<Versioned<DeliveryRecord>> {
  const delivery = await world.stores.deliveries.open({
    partnerId,
    webhookId,
    notice,
    state: "pending",
    tries: [],
    ...fromNow(world.clock),
  });
  if (delivery.state === "pending") await schedule(world, delivery);
  return delivery;
}

/** A delivery that begins, for the first time or once more. */
export const fromNow = (clock: Clock): Pick<DeliveryRecord, "dueAt" | "counted" | "expiresAt"> => ({
  dueAt: new Date(clock.now()).toISOString(),
  counted: 0,
  expiresAt: new Date(clock.now() + LIFETIME_IN_MILLISECONDS).toISOString(),
});

const wants = ({ types }: Pick<WebhookRecord, "types">, type: string): boolean =>
  types === undefined || types.some((one) => (one.endsWith(".*") ? type.startsWith(one.slice(0, -1)) : type === one));
