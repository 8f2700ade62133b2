/** The net under the queue: tells what nobody was told of, sets off again what is overdue, and retires secrets whose overlap is over. */
import { everyOne } from "../../shared/stores/pages.ts";
import type { Versioned } from "../../shared/stores/table.ts";
import type { WebhookRecord } from "../../shared/stores/webhooks.ts";
import { schedule } from "./deliver.ts";
import { tell } from "./tell.ts";
import type { NotificationsWorld } from "./world.ts";

/** A message that is on its way is given this time. */
const OVERDUE_AFTER_IN_MILLISECONDS = 2 * 60_000;

export const sweepNotifications = (world: NotificationsWorld) => async (): Promise<void> => {
  const { stores, log } = world;
  const partners = new Set<string>();
  const counts = { webhooks: 0, told: 0, overdue: 0 };
  for await (const webhook of everyOne((after) => stores.webhooks.everyOne(after))) {
    counts.webhooks += 1;
    partners.add(webhook.partnerId);
    await unlessItFails(world, webhook.id, async () => {
      counts.overdue += await setOff(world, webhook);
      await retireSecrets(world, webhook);
    });
  }
  for (const partnerId of partners)
    await unlessItFails(world, partnerId, async () => void (counts.told += await tellAll(world, partnerId)));
  log.information("notifications looked after", counts);
};

async function tellAll(world: NotificationsWorld, partnerId: string): Promise<number> {
  const untold = await world.stores.events.untold(partnerId);
  for (const event of untold) await tell(world, event);
  return untold.length;
}

async function setOff(world: NotificationsWorld, { partnerId, id: webhookId }: WebhookRecord): Promise<number> {
  const since = new Date(world.clock.now() - OVERDUE_AFTER_IN_MILLISECONDS).toISOString();
  const overdue = (await world.stores.deliveries.pending({ partnerId, webhookId })).filter(({ dueAt }) => dueAt < since);
  for (const delivery of overdue) await schedule(world, delivery);
  return overdue.length;
}

async function retireSecrets(
  { stores, clock, webhookSecrets }: NotificationsWorld,
  webhook: Versioned<WebhookRecord>,
): Promise<void> {
  const now = new Date(clock.now()).toISOString();
  const over = webhook.secrets.filter(({ until }) => until !== undefined && until <= now);
  if (over.length === 0) return;
  // Switched off first: a row without them would leave nobody who knows them.
  for (const { reference } of over) await webhookSecrets.retire(reference);
  await stores.webhooks.change(webhook, ({ secrets }) => ({
    secrets: secrets.filter(({ until }) => until === undefined || until > now),
  }));
}

/** One partner's trouble must not keep the others waiting. */
async function unlessItFails({ log }: NotificationsWorld, what: string, act: () => Promise<void>): Promise<void> {
  try {
    await act();
  } catch (error) {
    log.warning("notifications could not be looked after", { what, error });
  }
}
