/** Mails to recipients in the test's own time: tables in memory, a broker whose messages come when they are due, and a process that can die. */
import { randomUUID } from "node:crypto";
import type { Mails } from "../../functions/notifications/mail.ts";
import { acceptNotification } from "../../functions/notifications/queue.ts";
import { sweepNotifications } from "../../functions/notifications/timer.ts";
import type { NotificationsWorld } from "../../functions/notifications/world.ts";
import { createSigner } from "../../shared/api/signing.ts";
import type { Letter } from "../../shared/graph/mailer.ts";
import { createLog } from "../../shared/log.ts";
import { createAnnouncer } from "../../shared/messages/notification.ts";
import { createDeliveryStore } from "../../shared/stores/deliveries.ts";
import { createEventStore, type EventRecord } from "../../shared/stores/events.ts";
import { createMailBudget } from "../../shared/stores/mail-budget.ts";
import { createMailOutbox } from "../../shared/stores/mail-outbox.ts";
import { createMailRecipientStore, type MailRecipientRecord } from "../../shared/stores/mail-recipients.ts";
import { createWebhookStore } from "../../shared/stores/webhooks.ts";
import { rememberingSender } from "./notifications.ts";
import { memoryStorage } from "./memory-storage.ts";

export interface SentLetter extends Letter {
  at: number;
}

/** What ends a process: nothing that it does afterwards has an effect. */
class Killed extends Error {}

export function startMails(beginning: number) {
  const clock = { time: beginning, now: () => clock.time };
  const log = createLog("error", () => undefined);
  const bus = rememberingSender();
  const handled = new Set<string>();
  const letters: SentLetter[] = [];
  const graph: { answer: (letter: Letter) => "taken" | Error | { taken: Error } } = { answer: () => "taken" };
  const life = { callsLeft: Number.POSITIVE_INFINITY, afterEffect: false, dead: false };

  /** The same thing in a process that dies at one of its calls, before or after it took effect. */
  const mortal = <Thing extends object>(thing: Thing): Thing =>
    new Proxy(thing, {
      get: (target, name) => {
        const known: unknown = Reflect.get(target, name);
        if (typeof known !== "function") return known;
        return async (...args: unknown[]): Promise<unknown> => {
          if (life.dead) throw new Killed();
          life.callsLeft -= 1;
          life.dead = life.callsLeft <= 0;
          if (life.dead && !life.afterEffect) throw new Killed();
          const result: unknown = await Reflect.apply(known, target, args);
          if (life.dead) throw new Killed();
          return result;
        };
      },
    });

  const storage = memoryStorage();
  const webhooks = mortal(createWebhookStore(storage, clock));
  const mailRecipients = createMailRecipientStore(storage, clock);
  const announce = createAnnouncer({ sender: bus, clock, log });
  const events = createEventStore(storage, { listens: (partner) => mailRecipients.anyOf(partner), announce });
  const mailOutbox = createMailOutbox(storage);
  const stores = { webhooks, events, mailRecipients, mailOutbox, mailBudget: createMailBudget(storage) };
  const world = {
    stores: {
      webhooks,
      deliveries: createDeliveryStore(storage),
      events: mortal(events),
      mailRecipients: mortal(mailRecipients),
      mailOutbox: mortal(mailOutbox),
      mailBudget: mortal(stores.mailBudget),
    },
    clock,
    log,
    sender: mortal(bus),
    signer: createSigner(() => Promise.resolve(new Uint8Array(32).fill(7)), clock),
    settings: { publicUrl: "https://gatehouse.example" },
    canaryMailbox: { organization: randomUUID(), address: "post@gatehouse.example" },
    mailer: mortal({
      send: async (_organization: string, _mailbox: string, letter: Letter) => {
        const answer = graph.answer(letter);
        if (answer instanceof Error) throw answer;
        letters.push({ ...letter, at: clock.time });
        if (answer !== "taken") throw answer.taken;
      },
    }),
  } as unknown as NotificationsWorld;
  const accept = acceptNotification(world);
  const sweep = sweepNotifications(world);

  type Message = (typeof bus.sent)[number];
  const dueAt = ({ scheduledAt }: Message): number => scheduledAt?.getTime() ?? 0;

  /** Whether it was handled to its end. */
  async function survives(act: () => Promise<void>): Promise<boolean> {
    try {
      await act();
      return !life.dead;
    } catch (error) {
      if (!life.dead) throw error;
      return false;
    } finally {
      Object.assign(life, { callsLeft: Number.POSITIVE_INFINITY, dead: false });
    }
  }

  const handle = (message: Message): Promise<boolean> =>
    survives(() => accept(message.body, { messageId: message.messageId, deliveryCount: 1, enqueuedAt: new Date(clock.time) }));

  return {
    clock,
    bus,
    letters,
    graph,
    stores,
    world: world as Mails & NotificationsWorld,
    life,
    handle,
    sweep: () => survives(sweep),
    /** Handles what comes until then; what was being handled when the process died comes again after a minute. */
    async until(end: number, fate: (message: Message) => "comes" | "lost" = () => "comes"): Promise<void> {
      for (;;) {
        const next = bus.sent.filter(({ messageId }) => !handled.has(messageId)).toSorted((a, b) => dueAt(a) - dueAt(b))[0];
        if (!next || dueAt(next) > end) break;
        clock.time = Math.max(clock.time, dueAt(next));
        handled.add(next.messageId);
        if (fate(next) === "lost" || (await handle(next))) continue;
        bus.sent.push({ ...next, messageId: randomUUID(), scheduledAt: new Date(clock.time + 60_000) });
      }
      clock.time = Math.max(clock.time, end);
    },
    /** As after ten minutes: the broker knows none of its messages any more, or only those that still wait. */
    forget: (all: boolean) => {
      const kept = all ? [] : bus.sent.filter(({ messageId }) => !handled.has(messageId));
      bus.sent.splice(0, bus.sent.length, ...kept);
      handled.clear();
    },
    recipient: async (more: Partial<MailRecipientRecord> = {}): Promise<MailRecipientRecord> => {
      const at = new Date(clock.time).toISOString();
      const made = await mailRecipients.create({
        partnerId: "northwind",
        id: "desk",
        address: "desk@northwind.example",
        digestInMinutes: 15,
        timeZone: "Europe/Berlin",
        enabled: true,
        state: "confirmed",
        confirmation: { number: 1, askedAt: at, expiresAt: new Date(clock.time + 24 * 3600_000).toISOString(), tries: 0 },
        createdAt: at,
        lastUpdatedAt: at,
        ...more,
      });
      if (!made) throw new Error("there is such a recipient");
      return made;
    },
    happens: async (more: Partial<EventRecord> = {}): Promise<EventRecord> => {
      const event: EventRecord = {
        partnerId: "northwind",
        tenantId: "contoso",
        id: randomUUID(),
        type: "delisting.opened",
        subject: "case",
        at: new Date(clock.time).toISOString(),
        data: {},
        ...more,
      };
      await events.add(event);
      return event;
    },
  };
}
