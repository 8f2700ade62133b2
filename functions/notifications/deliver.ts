/**
 * One try of one delivery. What is due stands in its row, and the message only says that it is time: a message that comes twice, late or
 * after a crash does no harm, and one that is lost is sent again by the sweep.
 */
import { type DueDelivery, scheduleDelivery } from "../../shared/messages/notification.ts";
import type { DeliveryRecord } from "../../shared/stores/deliveries.ts";
import type { Versioned } from "../../shared/stores/table.ts";
import type { Circuit, WebhookRecord } from "../../shared/stores/webhooks.ts";
import { cloudEventOf, signedHeaders } from "../../shared/webhooks/message.ts";
import type { Posted } from "../../shared/webhooks/post.ts";
import { failedOnce, spreadAfter, TRIAL_IN_MILLISECONDS, waitAfter } from "./tries.ts";
import type { NotificationsWorld } from "./world.ts";

const MOST_TRIES_SHOWN = 20;
/** When our own vault or tables don't answer; it counts against nobody. */
const PAUSE_FOR_US_IN_MILLISECONDS = 60_000;
const GONE = 410;

export async function deliver(world: NotificationsWorld, due: DueDelivery): Promise<void> {
  const { stores } = world;
  const delivery = await stores.deliveries.find(due, due.deliveryId);
  if (delivery?.state !== "pending") return;
  // Whoever wrote the time that is due may have died before it was sent.
  if (delivery.dueAt !== due.dueAt) return schedule(world, delivery);
  const webhook = await stores.webhooks.find(due.partnerId, due.webhookId);
  if (!webhook?.enabled) return giveUp(world, delivery, webhook ? "WebhookDisabled" : "WebhookDeleted");
  if (Date.parse(delivery.expiresAt) <= world.clock.now()) return giveUp(world, delivery, "Expired");
  const closedUntil = await turnedAway(world, webhook);
  if (closedUntil !== undefined) return postpone(world, delivery, spreadAfter(closedUntil, Math.random()));
  await attempt(world, delivery, webhook);
}

async function attempt(
  world: NotificationsWorld,
  delivery: Versioned<DeliveryRecord>,
  webhook: Versioned<WebhookRecord>,
): Promise<void> {
  const { clock, postWebhook, settings, log } = world;
  const began = clock.now();
  const body = cloudEventOf(delivery.notice, settings.publicUrl);
  let secrets: string[];
  try {
    secrets = await Promise.all(secretsInUse(webhook, began).map(({ reference }) => world.webhookSecrets.read(reference)));
  } catch (error) {
    log.warning("a webhook's secret could not be read", { webhook: webhook.id, error });
    return postpone(world, delivery, began + PAUSE_FOR_US_IN_MILLISECONDS);
  }
  const posted = await postWebhook(
    webhook.url,
    await signedHeaders({ id: delivery.notice.id, body, secrets }, clock.now()),
    body,
  );
  await record(world, delivery, webhook, { posted, began });
}

async function record(
  world: NotificationsWorld,
  delivery: Versioned<DeliveryRecord>,
  webhook: WebhookRecord,
  { posted, began }: { posted: Posted; began: number },
): Promise<void> {
  const { stores, clock } = world;
  const now = clock.now();
  const status = posted.outcome === "answered" ? posted.status : undefined;
  const delivered = status !== undefined && status >= 200 && status < 300;
  const reason = delivered ? undefined : reasonOf(posted);
  const tried: DeliveryRecord["tries"][number] = {
    at: new Date(began).toISOString(),
    outcome: delivered ? "delivered" : "failed",
    ...(status === undefined ? {} : { status }),
    ...(reason === undefined ? {} : { reason }),
    durationInMilliseconds: Math.max(0, now - began),
  };
  const retryAfterInSeconds = posted.outcome === "answered" ? posted.retryAfterInSeconds : undefined;
  if (delivered) await stores.webhooks.closeCircuit(webhook);
  else if (status === GONE) await stores.webhooks.change(webhook, () => ({ enabled: false, disabledReason: "Gone" }));
  else await noteFailure(world, webhook, { reason: reason ?? "", retryAfterInSeconds });

  const recorded = await stores.deliveries.change(delivery, delivery.id, (known) => {
    // Somebody else had the same message, and was quicker; or it was asked for again meanwhile.
    if (known.state !== "pending" || known.dueAt !== delivery.dueAt) return undefined;
    const counted = known.counted + 1;
    const tries = [...known.tries, tried].slice(-MOST_TRIES_SHOWN);
    if (delivered) return { state: "delivered", reason: undefined, counted, tries };
    if (status === GONE) return { state: "failed", reason: "Gone", counted, tries };
    const wait = waitAfter(counted, retryAfterInSeconds, Math.random());
    return wait === undefined
      ? { state: "failed", reason: reason ?? "", counted, tries }
      : { counted, tries, dueAt: new Date(now + wait).toISOString() };
  });
  if (recorded.state === "pending") await schedule(world, recorded);
}

/** Of all that sign, the newest first. */
const secretsInUse = ({ secrets }: WebhookRecord, now: number) =>
  secrets.filter(({ until }) => until === undefined || Date.parse(until) > now);

const reasonOf = (posted: Posted): string => {
  if (posted.outcome === "failed") return posted.code;
  if (posted.status === GONE) return "Gone";
  return posted.status >= 300 && posted.status < 400 ? "Redirected" : `Answered${posted.status}`;
};

/** Until when nothing may be sent. Of those who come when that is over, one goes first. */
async function turnedAway({ stores, clock }: NotificationsWorld, webhook: WebhookRecord): Promise<number | undefined> {
  const circuit = await stores.webhooks.circuitOf(webhook);
  if (circuit?.openUntil === undefined) return undefined;
  const openUntil = Date.parse(circuit.openUntil);
  if (openUntil > clock.now()) return openUntil;
  const trial = clock.now() + TRIAL_IN_MILLISECONDS;
  const { etag: _etag, ...known } = circuit;
  const won = await stores.webhooks.setCircuit(webhook, circuit, { ...known, openUntil: new Date(trial).toISOString() });
  return won ? undefined : trial;
}

/** Failures are counted roughly: who meets another writer is one of several that failed at the same moment. */
async function noteFailure(
  { stores, clock }: NotificationsWorld,
  webhook: WebhookRecord,
  failure: { reason: string; retryAfterInSeconds: number | undefined },
): Promise<void> {
  const known = await stores.webhooks.circuitOf(webhook);
  const next: Circuit = failedOnce(known, failure, clock.now(), Math.random());
  await stores.webhooks.setCircuit(webhook, known, next);
}

async function postpone(world: NotificationsWorld, delivery: Versioned<DeliveryRecord>, at: number): Promise<void> {
  const dueAt = new Date(at).toISOString();
  if (dueAt >= delivery.expiresAt) return giveUp(world, delivery, "Expired");
  const changed = await world.stores.deliveries.change(delivery, delivery.id, (known) =>
    known.state === "pending" && known.dueAt === delivery.dueAt ? { dueAt } : undefined,
  );
  if (changed.state === "pending") await schedule(world, changed);
}

const giveUp = async ({ stores }: NotificationsWorld, delivery: DeliveryRecord, reason: string): Promise<void> => {
  await stores.deliveries.change(delivery, delivery.id, (known) =>
    known.state === "pending" ? { state: "failed", reason } : undefined,
  );
};

export const schedule = (
  { sender }: Pick<NotificationsWorld, "sender">,
  { partnerId, webhookId, id: deliveryId, dueAt }: DeliveryRecord,
): Promise<void> => scheduleDelivery(sender, { partnerId, webhookId, deliveryId, dueAt });
