/** Every event reaches every webhook that wants it, through failures, pauses, lost messages and crashes; the clock here is the test's. */
import { randomUUID } from "node:crypto";
import * as fc from "fast-check";
import { beforeEach, expect, test } from "vitest";
import { acceptNotification } from "../../functions/notifications/queue.ts";
import { sweepNotifications } from "../../functions/notifications/timer.ts";
import { LIFETIME_IN_MILLISECONDS, WAITS } from "../../functions/notifications/tries.ts";
import type { NotificationsWorld } from "../../functions/notifications/world.ts";
import { createLog } from "../../shared/log.ts";
import { createAnnouncer } from "../../shared/messages/notification.ts";
import { createDeliveryStore } from "../../shared/stores/deliveries.ts";
import { createEventStore, type EventRecord } from "../../shared/stores/events.ts";
import { createMailOutbox } from "../../shared/stores/mail-outbox.ts";
import { createMailRecipientStore } from "../../shared/stores/mail-recipients.ts";
import { createWebhookStore, type WebhookRecord } from "../../shared/stores/webhooks.ts";
import type { Posted } from "../../shared/webhooks/post.ts";
import { createWebhookSecrets } from "../../shared/webhooks/secrets.ts";
import { publicTargets } from "../../shared/webhooks/target.ts";
import { rememberingSender, vaultInMemory } from "../support/notifications.ts";
import { memoryStorage } from "../support/memory-storage.ts";
import { unique } from "../support/stores.ts";

const HOUR = 3600_000;
const BEGINNING = Date.UTC(2026, 10, 20);

/** Notifications with a broker whose messages come when they are due, in the order of their times. */
function start() {
  const clock = { time: BEGINNING, now: () => clock.time };
  const log = createLog("error", () => undefined);
  const bus = rememberingSender();
  const handled = new Set<string>();
  const posts: { at: number; id: string; signatures: number }[] = [];
  const receiver: { answer: (id: string, at: number) => Posted } = { answer: () => ({ outcome: "answered", status: 204 }) };
  const vault = vaultInMemory();
  const storage = memoryStorage();
  const webhooks = createWebhookStore(storage, clock);
  const announce = createAnnouncer({ sender: bus, clock, log });
  const events = createEventStore(storage, { listens: (partner) => webhooks.anyOf(partner), announce });
  const mails = { mailRecipients: createMailRecipientStore(storage, clock), mailOutbox: createMailOutbox(storage) };
  const stores = { webhooks, events, deliveries: createDeliveryStore(storage), ...mails };
  const world = {
    stores,
    clock,
    log,
    sender: bus,
    settings: { publicUrl: "https://gatehouse.example" },
    webhookSecrets: createWebhookSecrets(vault, "https://gatehouse.vault.azure.example"),
    webhookTargets: publicTargets,
    postWebhook: async (_url: string, headers: Record<string, string>) => {
      const id = headers["webhook-id"] ?? "";
      posts.push({ at: clock.time, id, signatures: (headers["webhook-signature"] ?? "").split(" ").length });
      return receiver.answer(id, clock.time);
    },
  } as unknown as NotificationsWorld;
  const accept = acceptNotification(world);

  const dueAt = ({ scheduledAt }: (typeof bus.sent)[number]): number => scheduledAt?.getTime() ?? 0;
  /** Handles what comes until then; `lose` decides of each message whether it is lost on its way. */
  async function until(end: number, lose: () => boolean = () => false): Promise<void> {
    for (;;) {
      const next = bus.sent.filter(({ messageId }) => !handled.has(messageId)).toSorted((a, b) => dueAt(a) - dueAt(b))[0];
      if (!next || dueAt(next) > end) break;
      clock.time = Math.max(clock.time, dueAt(next));
      handled.add(next.messageId);
      if (lose()) continue;
      await accept(next.body, { messageId: next.messageId, deliveryCount: 1, enqueuedAt: new Date(clock.time) });
    }
    clock.time = Math.max(clock.time, end);
  }
  return {
    clock,
    bus,
    posts,
    receiver,
    vault,
    stores,
    world,
    accept,
    until,
    sweep: sweepNotifications(world),
    /** As after ten minutes: the broker knows none of its messages any more. */
    forgetMessages: () => {
      bus.sent.length = 0;
      handled.clear();
    },
  };
}

type Started = ReturnType<typeof start>;

let run: Started;
let partnerId: string;
beforeEach(() => {
  run = start();
  partnerId = unique("partner");
});

async function webhook({ world, stores }: Started, more: Partial<WebhookRecord> = {}): Promise<WebhookRecord> {
  const id = more.id ?? unique("hook");
  const { reference } = await world.webhookSecrets.make(partnerId, id, 1);
  const at = new Date(BEGINNING).toISOString();
  const record = {
    partnerId,
    url: "https://hooks.northwind.example/",
    enabled: true,
    secrets: [{ reference }],
    generation: 1,
    ...more,
    id,
  };
  const made = await stores.webhooks.create({ ...record, createdAt: at, lastUpdatedAt: at });
  if (!made) throw new Error("there is such a webhook");
  return made;
}

const event = (clock: { time: number }, more: Partial<EventRecord> = {}): EventRecord => ({
  partnerId,
  tenantId: "contoso",
  id: randomUUID(),
  type: "gateway.health.changed",
  subject: "contoso-gateway-1",
  at: new Date(clock.time).toISOString(),
  data: {},
  ...more,
});

const deliveriesOf = async ({ stores }: Started, { id: webhookId }: WebhookRecord) =>
  (await stores.deliveries.list({ partnerId, webhookId }, undefined, 1000)).items;

test("an event is told once to each webhook that wants its type, and to no partner else", async () => {
  const [all, some, none, off] = [
    await webhook(run),
    await webhook(run, { types: ["gateway.*", "task.opened"] }),
    await webhook(run, { types: ["task.*"] }),
    await webhook(run, { enabled: false }),
  ];
  const told = event(run.clock);
  expect([await run.stores.events.add(told), await run.stores.events.add(told)]).toEqual([true, false]);
  await run.stores.events.add({ ...event(run.clock), partnerId: unique("other") });
  await run.until(run.clock.time + HOUR);
  const counts = await Promise.all([all, some, none, off].map(async (one) => (await deliveriesOf(run, one)).length));
  expect([counts, run.posts.map(({ id }) => id)]).toEqual([
    [1, 1, 0, 0],
    [told.id, told.id],
  ]);
  expect(await run.stores.events.untold(partnerId)).toEqual([]);
  expect(await deliveriesOf(run, all)).toMatchObject([{ state: "delivered", tries: [{ outcome: "delivered", status: 204 }] }]);
});

test("of a partner without webhooks nothing is kept to be told, and nothing is sent", async () => {
  await run.stores.events.add(event(run.clock));
  expect([run.bus.sent, await run.stores.events.untold(partnerId)]).toEqual([[], []]);
});

test("a receiver that fails is asked again after 5 seconds, 5 minutes, … for three days, then no more", async () => {
  const hook = await webhook(run);
  run.receiver.answer = () => ({ outcome: "answered", status: 500 });
  await run.stores.events.add(event(run.clock));
  await run.until(BEGINNING + 2 * LIFETIME_IN_MILLISECONDS);
  const waits = run.posts.slice(1).map(({ at }, index) => at - (run.posts[index]?.at ?? 0));
  expect(waits).toHaveLength(WAITS.length);
  for (const [index, wait] of waits.entries()) {
    const planned = WAITS[index] ?? 0;
    expect(wait).toBeGreaterThanOrEqual(planned * 0.9);
    // The circuit is open for a while besides, from the fifth on.
    expect(wait).toBeLessThanOrEqual(planned * 1.1 + (index < 4 ? 0 : 2 * HOUR));
  }
  expect(await deliveriesOf(run, hook)).toMatchObject([{ state: "failed", reason: "Answered500" }]);
});

test("410 disables the webhook, and what still waits for it is not sent", async () => {
  const hook = await webhook(run);
  run.receiver.answer = () => ({ outcome: "failed", code: "ECONNREFUSED", message: "" });
  await run.stores.events.add(event(run.clock));
  await run.until(run.clock.time + 1000);
  run.receiver.answer = () => ({ outcome: "answered", status: 410 });
  await run.stores.events.add(event(run.clock));
  await run.until(run.clock.time + HOUR);
  expect(await run.stores.webhooks.get(partnerId, hook.id)).toMatchObject({ enabled: false, disabledReason: "Gone" });
  const states = (await deliveriesOf(run, hook)).map(({ state, reason }) => `${state} ${reason}`).toSorted();
  expect([states, run.posts.length]).toEqual([["failed Gone", "failed WebhookDisabled"], 2]);
  await run.stores.events.add(event(run.clock));
  expect(await run.stores.events.untold(partnerId)).toEqual([]);
});

test("who asks for time gets it, for all its events", async () => {
  const hook = await webhook(run);
  run.receiver.answer = () => ({ outcome: "answered", status: 429, retryAfterInSeconds: 7200 });
  await run.stores.events.add(event(run.clock));
  await run.until(run.clock.time + 1000);
  run.receiver.answer = () => ({ outcome: "answered", status: 200 });
  for (let number = 0; number < 5; number += 1) await run.stores.events.add(event(run.clock));
  await run.until(run.clock.time + 4 * HOUR);
  expect(run.posts.slice(1).every(({ at }) => at >= BEGINNING + 2 * HOUR)).toBe(true);
  expect((await deliveriesOf(run, hook)).map(({ state }) => state)).toEqual(Array.from({ length: 6 }, () => "delivered"));
});

test("a dead receiver costs few calls however many events there are, and gets all of them when it is back", async () => {
  const hook = await webhook(run);
  run.receiver.answer = () => ({ outcome: "failed", code: "TimedOut", message: "" });
  for (let number = 0; number < 60; number += 1) await run.stores.events.add(event(run.clock));
  await run.until(BEGINNING + 6 * HOUR);
  // Five to open it; then pauses of 1, 2, 4 … 60 minutes with one call each.
  expect(run.posts.length).toBeLessThan(30);
  run.receiver.answer = () => ({ outcome: "answered", status: 200 });
  await run.until(BEGINNING + 12 * HOUR);
  expect((await deliveriesOf(run, hook)).filter(({ state }) => state !== "delivered")).toEqual([]);
  expect(await run.stores.webhooks.circuitOf(hook)).toBeUndefined();
});

test("another secret signs too for its time, then the sweep retires the old one", async () => {
  const hook = await webhook(run);
  const { reference } = await run.world.webhookSecrets.make(partnerId, hook.id, 2);
  const until = new Date(BEGINNING + 24 * HOUR).toISOString();
  await run.stores.webhooks.change(hook, ({ secrets }) => ({
    secrets: [{ reference }, ...secrets.map((secret) => ({ ...secret, until }))],
  }));
  await run.stores.events.add(event(run.clock));
  await run.until(BEGINNING + 25 * HOUR);
  await run.stores.events.add(event(run.clock));
  await run.until(BEGINNING + 26 * HOUR);
  await run.sweep();
  expect(run.posts.map(({ signatures }) => signatures)).toEqual([2, 1]);
  expect((await run.stores.webhooks.get(partnerId, hook.id)).secrets).toEqual([{ reference }]);
  expect([...run.vault.versions.values()].map(({ enabled }) => enabled)).toEqual([false, true]);
});

test("a vault that doesn't answer is our trouble: no try is counted", async () => {
  const hook = await webhook(run);
  const [version] = run.vault.versions.values();
  if (version) version.enabled = false;
  await run.stores.events.add(event(run.clock));
  await run.until(BEGINNING + HOUR);
  expect([run.posts, await deliveriesOf(run, hook)]).toMatchObject([[], [{ state: "pending", counted: 0, tries: [] }]]);
  if (version) version.enabled = true;
  await run.until(BEGINNING + 2 * HOUR);
  expect(await deliveriesOf(run, hook)).toMatchObject([{ state: "delivered", counted: 1 }]);
});

test("what waits since months ago is found, too: told late of something old, or not looked for in all that time", async () => {
  const hook = await webhook(run);
  run.receiver.answer = () => ({ outcome: "failed", code: "ECONNREFUSED", message: "" });
  const old = event(run.clock, { at: "2026-07-31T23:00:00.000Z" });
  const between = [event(run.clock, { at: "2026-09-30T12:00:00.000Z" }), event(run.clock, { at: "2026-10-31T12:00:00.000Z" })];
  for (const one of [old, ...between]) await run.stores.events.add(one);
  run.forgetMessages();
  await run.sweep();
  expect((await deliveriesOf(run, hook)).length).toBe(3);
  run.receiver.answer = () => ({ outcome: "answered", status: 204 });
  run.forgetMessages();
  // The sweep in between looks at the newest only.
  for (const wait of [HOUR / 2, HOUR / 2 + 1]) {
    run.clock.time += wait;
    await run.sweep();
  }
  await run.until(run.clock.time + HOUR);
  expect((await deliveriesOf(run, hook)).map(({ state, notice }) => `${state} ${notice.id}`).toSorted()).toEqual(
    [old, ...between].map(({ id }) => `delivered ${id}`).toSorted(),
  );
});

test("whatever messages are lost or come twice, the sweep sees to it that every event arrives", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.record({ lost: fc.boolean(), twice: fc.boolean(), fails: fc.boolean() }), { minLength: 1, maxLength: 12 }),
      async (fates) => {
        run = start();
        partnerId = unique("partner");
        const hook = await webhook(run);
        let number = 0;
        const fate = () => fates[number++ % fates.length] ?? { lost: false, twice: false, fails: false };
        run.receiver.answer = () => ({ outcome: "answered", status: fate().fails ? 503 : 200 });
        const told = [event(run.clock), event(run.clock), event(run.clock)];
        for (const one of told) await run.stores.events.add(one);
        let first: unknown;
        for (let round = 0; round < 8; round += 1) {
          const before = run.bus.sent[0];
          first ??= before?.body;
          await run.until(run.clock.time + HOUR, () => fate().lost);
          if (fate().twice && first !== undefined)
            await run.accept(first, { messageId: "again", deliveryCount: 2, enqueuedAt: new Date() });
          run.forgetMessages();
          await run.sweep();
        }
        run.receiver.answer = () => ({ outcome: "answered", status: 200 });
        for (let day = 0; day < 2; day += 1) {
          await run.until(run.clock.time + 24 * HOUR);
          run.forgetMessages();
          await run.sweep();
        }
        const arrived = (await deliveriesOf(run, hook)).filter(({ state }) => state === "delivered");
        expect(arrived.map(({ notice }) => notice.id).toSorted()).toEqual(told.map(({ id }) => id).toSorted());
        expect(await run.stores.events.untold(partnerId)).toEqual([]);
      },
    ),
    { numRuns: 30 },
  );
});
