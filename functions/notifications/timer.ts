/** The net under the queue: tells what nobody was told of, sets off again what is overdue, and retires secrets whose overlap is over. */
import type { Look } from "../../shared/stores/months.ts";
import { everyOne } from "../../shared/stores/pages.ts";
import type { Versioned } from "../../shared/stores/table.ts";
import type { WebhookRecord } from "../../shared/stores/webhooks.ts";
import type { MailRecipientRecord } from "../../shared/stores/mail-recipients.ts";
import { schedule } from "./deliver.ts";
import { nextMailAt, wake } from "./mail.ts";
import { tell } from "./tell.ts";
import type { NotificationsWorld } from "./world.ts";

/** A message that is on its way is given this time. */
const OVERDUE_AFTER_IN_MILLISECONDS = 2 * 60_000;

/** Of months before the last two, in which hardly anything waits. */
const OLD_MONTHS_EVERY_IN_MILLISECONDS = 3600_000;

export function sweepNotifications(world: NotificationsWorld): () => Promise<void> {
  let lookedAtAll = Number.NEGATIVE_INFINITY;
  return async () => {
    const now = world.clock.now();
    const look = now - lookedAtAll >= OLD_MONTHS_EVERY_IN_MILLISECONDS ? "all" : "newest";
    await sweep(world, look);
    if (look === "all") lookedAtAll = now;
  };
}

async function sweep(world: NotificationsWorld, look: Look): Promise<void> {
  const { stores, log } = world;
  const partners = new Set<string>();
  const counts = { webhooks: 0, recipients: 0, told: 0, overdue: 0 };
  for await (const webhook of everyOne((after) => stores.webhooks.everyOne(after))) {
    counts.webhooks += 1;
    partners.add(webhook.partnerId);
    await unlessItFails(world, webhook.id, async () => {
      counts.overdue += await setOff(world, webhook, look);
      await retireSecrets(world, webhook);
    });
  }
  for await (const recipient of everyOne((after) => stores.mailRecipients.everyOne(after))) {
    counts.recipients += 1;
    partners.add(recipient.partnerId);
    await unlessItFails(world, recipient.id, async () => void (counts.overdue += await wakeLate(world, recipient)));
  }
  for (const partnerId of partners)
    await unlessItFails(world, partnerId, async () => void (counts.told += await tellAll(world, partnerId, look)));
  log.information("notifications looked after", counts);
}

async function tellAll(world: NotificationsWorld, partnerId: string, look: Look): Promise<number> {
  const untold = await world.stores.events.untold(partnerId, look);
  for (const event of untold) await tell(world, event);
  return untold.length;
}

async function setOff(world: NotificationsWorld, { partnerId, id: webhookId }: WebhookRecord, look: Look): Promise<number> {
  const since = new Date(world.clock.now() - OVERDUE_AFTER_IN_MILLISECONDS).toISOString();
  const overdue = (await world.stores.deliveries.pending({ partnerId, webhookId }, look)).filter(({ dueAt }) => dueAt < since);
  for (const delivery of overdue) await schedule(world, delivery);
  return overdue.length;
}

/** Mails that have to wait have their message already, or will when their time has come. */
async function wakeLate(world: NotificationsWorld, recipient: MailRecipientRecord): Promise<number> {
  const { stores, clock } = world;
  const waiting = await stores.mailOutbox.list(recipient);
  const due = nextMailAt(recipient, await stores.mailRecipients.mailOf(recipient), waiting, clock.now());
  if (due === undefined || due > clock.now()) return 0;
  await wake(world, recipient, clock.now());
  return 1;
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
