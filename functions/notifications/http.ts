/** The doors to webhooks: where a partner wants to be told what changes, and what became of each telling. */
import { randomUUID } from "node:crypto";
import { isDeepStrictEqual } from "node:util";
import type { Answer, Handler } from "../../shared/api/endpoint.ts";
import { refusal } from "../../shared/api/error-codes.ts";
import { strongETag } from "../../shared/api/etag.ts";
import { pageBody, parsePage } from "../../shared/api/pages.ts";
import { audienceOf, partnerInScope } from "../../shared/api/scope.ts";
import type { Delivery, Webhook, WebhookInput } from "../../shared/api/webhook.ts";
import type { DeliveryRecord } from "../../shared/stores/deliveries.ts";
import { untilUncontested, type Versioned } from "../../shared/stores/table.ts";
import type { Circuit, WebhookRecord } from "../../shared/stores/webhooks.ts";
import type { SecretReference } from "../../shared/vault/reference.ts";
import { targetProblem } from "../../shared/webhooks/target.ts";
import { schedule } from "./deliver.ts";
import { fromNow, openDelivery } from "./tell.ts";
import type { WebhooksWorld } from "./world.ts";

const MOST_WEBHOOKS = 10;
const OVERLAP_IN_MILLISECONDS = 24 * 3600 * 1000;
/** As many as sign at the most, and as many as a header has to carry. */
const MOST_SECRETS = 3;
/** An answer with a secret is for its reader only. */
const unstored = { "cache-control": "no-store" };

/** GET /api/webhooks */
export const listWebhooks =
  ({ stores }: WebhooksWorld): Handler<"listWebhooks"> =>
  async ({ caller, query }) => {
    const all = await stores.webhooks.list(partnerInScope(caller, query.partnerId));
    return { body: { value: all.map(({ webhook, circuit }) => webhookBody(webhook, circuit)) } };
  };

/** GET /api/webhooks/{webhookId} */
export const getWebhook =
  ({ stores }: WebhooksWorld): Handler<"getWebhook"> =>
  async ({ caller, params: { webhookId }, query }) => {
    const webhook = await stores.webhooks.get(partnerInScope(caller, query.partnerId), webhookId);
    return { body: webhookBody(webhook, await stores.webhooks.circuitOf(webhook)), etag: webhook.etag };
  };

/** PUT /api/webhooks/{webhookId}: the same one twice changes nothing, and the second answer has no secret. */
export const putWebhook =
  (world: WebhooksWorld): Handler<"putWebhook"> =>
  async ({ caller: { partnerId }, params: { webhookId }, body, checkConditions }) => {
    const { stores, webhookTargets } = world;
    const problem = targetProblem(body.url, webhookTargets);
    if (problem !== undefined)
      throw refusal("InvalidRequest", "the body has invalid fields", {
        details: [{ code: "InvalidField", target: "url", message: problem }],
      });
    const wanted = settingsOf(body);
    return untilUncontested(`webhook ${webhookId}`, async () => {
      const known = await stores.webhooks.find(partnerId, webhookId);
      checkConditions(known?.etag);
      if (!known) return made(world, { partnerId, webhookId }, wanted);
      if (isDeepStrictEqual(settingsOf(known), wanted))
        return { body: webhookBody(known, await stores.webhooks.circuitOf(known)), etag: known.etag };
      const changed = await stores.webhooks.replace(known, { ...wanted, ...reasonFor(wanted) });
      if (!changed) return undefined;
      // Another chance for a receiver that is well again, or elsewhere.
      await stores.webhooks.closeCircuit(known);
      return { body: webhookBody(changed, undefined), etag: changed.etag };
    });
  };

/** DELETE /api/webhooks/{webhookId} */
export const deleteWebhook =
  ({ stores, webhookSecrets }: WebhooksWorld): Handler<"deleteWebhook"> =>
  async ({ caller: { partnerId }, params: { webhookId }, checkConditions }) =>
    untilUncontested(`webhook ${webhookId}`, async () => {
      const known = await stores.webhooks.get(partnerId, webhookId);
      checkConditions(known.etag);
      for (const { reference } of known.secrets) await webhookSecrets.retire(reference);
      return (await stores.webhooks.delete(known)) ? { status: 204 as const } : undefined;
    });

/** POST /api/webhooks/{webhookId}/rotate-secret: whoever lost the answer asks again; the secrets before still sign for their time. */
export const rotateWebhookSecret =
  ({ stores, webhookSecrets, clock }: WebhooksWorld): Handler<"rotateWebhookSecret"> =>
  async ({ caller: { partnerId }, params: { webhookId }, body: { compromised }, checkConditions }) => {
    const known = await stores.webhooks.get(partnerId, webhookId);
    checkConditions(known.etag);
    const generation = known.generation + 1;
    const { reference, value } = await webhookSecrets.make(partnerId, webhookId, generation);
    const overlapEndsAt = new Date(clock.now() + OVERLAP_IN_MILLISECONDS).toISOString();
    const dropped = new Map<string, SecretReference>();
    const changed = await stores.webhooks.change(known, ({ secrets }) => {
      const before = secrets.map(({ until = overlapEndsAt, ...rest }) => ({ ...rest, until }));
      // The one that the receiver surely has is the oldest, so it is the last but one that goes.
      const kept = compromised
        ? []
        : before.length < MOST_SECRETS
          ? before
          : [before[0], before.at(-1)].filter((one) => one !== undefined);
      for (const one of before) if (!kept.includes(one)) dropped.set(one.reference.version, one.reference);
      return { secrets: [{ reference }, ...kept], generation };
    });
    for (const old of dropped.values()) await webhookSecrets.retire(old);
    const shown = webhookBody(changed, await stores.webhooks.circuitOf(changed));
    return { body: { ...shown, secret: value }, etag: changed.etag, headers: unstored };
  };

/** POST /api/webhooks/{webhookId}/test */
export const testWebhook =
  (world: WebhooksWorld): Handler<"testWebhook"> =>
  async ({ caller: { partnerId }, params: { webhookId } }) => {
    const webhook = await enabledOne(world, partnerId, webhookId);
    const delivery = await openDelivery(world, webhook, {
      id: `test-${randomUUID()}`,
      type: "webhook.test",
      subject: webhookId,
      at: new Date(world.clock.now()).toISOString(),
      data: { message: "This is a test. Nothing has happened." },
    });
    return { status: 202, body: deliveryBody(delivery) };
  };

/** GET /api/webhooks/{webhookId}/deliveries */
export const listWebhookDeliveries =
  ({ stores, signer }: WebhooksWorld): Handler<"listWebhookDeliveries"> =>
  async ({ caller, params: { webhookId }, query, url }) => {
    const partnerId = partnerInScope(caller, query.partnerId);
    await stores.webhooks.get(partnerId, webhookId);
    const paging = { signer, url, audience: audienceOf(caller) };
    const { pageSize, after } = await parsePage(query, paging);
    const page = await stores.deliveries.list({ partnerId, webhookId }, query.state, pageSize, after);
    return { body: await pageBody(page, deliveryBody, paging) };
  };

/** POST /api/webhooks/{webhookId}/deliveries/{deliveryId}/redeliver: with all tries before it, as if it had just happened. */
export const redeliverEvent =
  (world: WebhooksWorld): Handler<"redeliverEvent"> =>
  async ({ caller: { partnerId }, params: { webhookId, deliveryId } }) => {
    await enabledOne(world, partnerId, webhookId);
    const delivery = await world.stores.deliveries.change({ partnerId, webhookId }, deliveryId, () => ({
      state: "pending",
      reason: undefined,
      ...fromNow(world.clock),
    }));
    await schedule(world, delivery);
    return { status: 202, body: deliveryBody(delivery) };
  };

type Settings = Pick<WebhookRecord, "url" | "types" | "description" | "enabled">;

const settingsOf = ({ url, types, description, enabled }: WebhookInput | WebhookRecord): Settings => ({
  url,
  types,
  description,
  enabled,
});

const reasonFor = ({ enabled }: Settings): Pick<WebhookRecord, "disabledReason"> => ({
  disabledReason: enabled ? undefined : "Asked",
});

/** The secret first: a webhook without one could not sign. Undefined when somebody else has made it meanwhile. */
async function made(
  { stores, webhookSecrets, clock }: WebhooksWorld,
  { partnerId, webhookId }: { partnerId: string; webhookId: string },
  wanted: Settings,
): Promise<Answer<"putWebhook"> | undefined> {
  if ((await stores.webhooks.list(partnerId)).length >= MOST_WEBHOOKS)
    throw refusal("WebhookLimitReached", `a partner may have ${MOST_WEBHOOKS} webhooks`);
  const { reference, value } = await webhookSecrets.make(partnerId, webhookId, 1);
  const now = new Date(clock.now()).toISOString();
  const record = { partnerId, id: webhookId, ...wanted, ...reasonFor(wanted), secrets: [{ reference }], generation: 1 };
  const webhook = await stores.webhooks.create({ ...record, createdAt: now, lastUpdatedAt: now });
  if (!webhook) {
    await webhookSecrets.retire(reference);
    return undefined;
  }
  return { status: 201, body: { ...webhookBody(webhook, undefined), secret: value }, etag: webhook.etag, headers: unstored };
}

async function enabledOne({ stores }: WebhooksWorld, partnerId: string, webhookId: string): Promise<WebhookRecord> {
  const webhook = await stores.webhooks.get(partnerId, webhookId);
  if (!webhook.enabled) throw refusal("WebhookDisabled", `the webhook ${webhookId} is disabled`);
  return webhook;
}

function webhookBody(
  { partnerId: _partnerId, generation: _generation, secrets, etag, ...webhook }: Versioned<WebhookRecord>,
  circuit: Circuit | undefined,
): Webhook {
  const overlapEndsAt = secrets
    .flatMap(({ until }) => until ?? [])
    .toSorted()
    .at(-1);
  return {
    ...webhook,
    circuit: {
      state: circuit?.openUntil === undefined ? "closed" : "open",
      failures: circuit?.failures ?? 0,
      ...(circuit?.openUntil === undefined ? {} : { retryAt: circuit.openUntil }),
      ...(circuit === undefined ? {} : { lastFailure: circuit.lastFailure }),
    },
    ...(overlapEndsAt === undefined ? {} : { overlapEndsAt }),
    etag: strongETag(etag),
  };
}

const deliveryBody = ({ id, notice, state, reason, tries, dueAt }: DeliveryRecord): Delivery => ({
  id,
  eventId: notice.id,
  type: notice.type,
  subject: notice.subject,
  ...(notice.tenantId === undefined ? {} : { tenantId: notice.tenantId }),
  at: notice.at,
  state,
  ...(reason === undefined ? {} : { reason }),
  ...(state === "pending" ? { nextTryAt: dueAt } : {}),
  tries,
});
