/**
 * An hour in which everything that Gatehouse needs is gone: clouds and DNS, and at its end the tables, too; meanwhile messages wait. The
 * whole app in virtual time, its timers by their own schedules, machines that report.
 */
import { setTimeout as pause } from "node:timers/promises";
import { ServiceBusClient } from "@azure/service-bus";
import type { Exchange } from "../../infra/local/clouds/record.ts";
import type { ApiClient } from "../../shared/api/client.ts";
import type { CredentialDue } from "../../shared/messages/near-expiry.ts";
import { type Life, startWorlds } from "./worlds.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const LIST = "spamcop";
const ZONE = "bl.spamcop.net";
const PARTNER = "northwind";

/** The schedules of local.settings.sample.json; worlds have none. */
const schedules = {
  GATEWAYS_SCHEDULE: "0 */5 * * * *",
  FLEET_SCHEDULE: "0 25 * * * *",
  OUTAGES_SCHEDULE: "0 2-59/5 * * * *",
  BLOCKLISTS_SCHEDULE: "0 * * * * *",
  DRIFT_SCHEDULE: "0 */15 * * * *",
  TASKS_SCHEDULE: "0 10 * * * *",
  NOTIFICATIONS_SCHEDULE: "15 */5 * * * *",
};

/** What the API says at a moment; `unavailable` while it can't say anything. */
export type Seen = { health: string; listed: string; caseState: string } | "unavailable";

export interface Outage {
  before: Seen;
  /** Every five minutes. */
  during: Seen[];
  /** Five hours later: the machine has been started, and the list has let the address go. */
  after: Seen;
  /** Messages that wait when it is over, and what is left of them. */
  waiting: number;
  left: { active: number; scheduled: number; dead: string[] };
  /** Rotations that the messages brought, as their operations ended. */
  rotations: string[];
  /** Events that the webhook was told, and those that are on record since it was made. */
  told: Set<string>;
  events: Set<string>;
  /** Requests to each cloud in the busiest minute: an hour like any other, and the hours after the outage. */
  busiest: { calm: Record<string, number>; after: Record<string, number> };
  /** Requests that a cloud refused because there were too many. */
  throttled: number;
}

export async function playOutage(messages: number): Promise<Outage> {
  const worlds = await startWorlds({ settings: schedules, brokerInWorldsTime: true, machinesReport: true });
  const { tenantId } = worlds.customer;
  try {
    return await worlds.life(async (life) => {
      const { partner, clouds, bus, tables } = life;
      /** Half a minute at a time, and what came by message meanwhile is dealt with before time goes on. */
      const pass = async (milliseconds: number): Promise<void> => {
        for (let left = milliseconds; left > 0; left -= MINUTE / 2) {
          await life.pass(MINUTE / 2);
          await drained(bus);
        }
      };
      const act = (path: string, body: object) => control(clouds.control, path, body);
      const { body: operation } = await partner.startOnboarding({ tenantId, body: {} });
      const { status, error } = await life.ended(operation);
      if (status !== "Succeeded") throw new Error(`the customer was not onboarded: ${JSON.stringify(error)}`);
      await partner.putWebhook({ webhookId: "all", body: { url: await receiverOf(life) } });
      await pass(HOUR / 2);
      const calmFrom = (await clouds.requests()).at(-1)?.seq ?? 0;
      await pass(HOUR);
      const calm = busiestMinutes(await clouds.requests(undefined, calmFrom));

      // Something is wrong, as everybody knows, before nobody can know anything.
      const [gateway] = (await partner.listGateways({})).body.value;
      if (!gateway) throw new Error("there is no gateway");
      const address = gateway.address;
      await act("/blocklists", { zone: ZONE, list: [address] });
      await act("/machines", { partnerId: PARTNER, tenantId, action: "stop" });
      // An address is asked about each hour, and again after some minutes when it seems listed.
      await pass(1.5 * HOUR);
      const look = async (): Promise<Seen> => {
        try {
          const [{ state } = { state: { health: "none" } }] = (await partner.listGateways({})).body.value;
          const [listing] = (await partner.listListings({})).body.value;
          const [case_] = (await partner.listDelistings({})).body.value;
          const listed = listing?.lists.find(({ list }) => list === LIST)?.state ?? "clean";
          return { health: state.health, listed, caseState: case_?.state ?? "none" };
        } catch (error_) {
          if ((error_ as { status?: number }).status === 503) return "unavailable";
          throw error_;
        }
      };
      const before = await look();
      const generation = async () =>
        (await partner.listCredentials({ tenantId })).body.value.find(({ name }) => name === "clientSecret");
      const [{ name, generation: number } = { name: "clientSecret" as const, generation: 1 }] = [await generation()].filter(
        (one) => one !== undefined,
      );
      const due: CredentialDue = { kind: "credentialDue", partnerId: PARTNER, tenantId, name, generation: number };
      const [listing] = (await partner.listListings({})).body.value;
      const since = listing?.lists.find(({ list }) => list === LIST)?.since ?? "";
      const events = await eventsOf(partner);

      for (const cloud of ["arm", "graph", "exchange", "vault", "webhooks"] as const)
        await clouds.fault(cloud, "cut-before-effect", {}, 1_000_000);
      // Whoever looks at the API still signs in, in a tenant that the app has nothing to do with.
      const callers = [...new Set(clouds.clients.map(({ tenantId: of }) => of))].join("|");
      await clouds.fault("entra", "cut-before-effect", { path: `/^/(?!${callers})/` }, 1_000_000);
      await clouds.fault("dns", "servfail", {}, 1_000_000);
      const during: Seen[] = [];
      for (let minute = 0; minute < 55; minute += 5) {
        await pass(5 * MINUTE);
        during.push(await look());
      }
      tables.down(true);
      await pass(4.5 * MINUTE);
      during.push(await look());
      await sendAll(bus.connectionString, messages, {
        rotation: () => due,
        delisting: () => ({ partnerId: PARTNER, tenantId, list: LIST, address, codes: ["127.0.0.2"], since }),
        notifications: (number) => {
          const { id, at } = events[number % events.length] ?? { id: "", at: "" };
          return { kind: "event", partnerId: PARTNER, id, at };
        },
      });
      await drained(bus);
      const waiting = bus.state().queues.reduce((sum, queue) => sum + queue.active + queue.scheduled, 0);

      tables.down(false);
      await clouds.clearFaults();
      const afterFrom = (await clouds.requests()).at(-1)?.seq ?? 0;
      await act("/blocklists", { zone: ZONE, unlist: [address] });
      await act("/machines", { partnerId: PARTNER, tenantId, action: "start" });
      await pass(5 * HOUR);
      const record = await clouds.requests(undefined, afterFrom);
      const told = new Set((await received(life)).map(({ headers }) => headers["webhook-id"] ?? ""));
      return {
        before,
        during,
        after: await look(),
        waiting,
        left: {
          active: bus.state().queues.reduce((sum, queue) => sum + queue.active + queue.locked, 0),
          scheduled: bus.state().queues.reduce((sum, queue) => sum + queue.scheduled, 0),
          dead: bus.state().queues.flatMap(({ name, deadLetters }) => deadLetters.map(({ reason }) => `${name}: ${reason}`)),
        },
        rotations: (await partner.listOperations({ tenantId })).body.value.flatMap(({ kind, status: ended }) =>
          kind === "rotation" ? [ended] : [],
        ),
        told,
        events: new Set((await eventsOf(partner)).map(({ id }) => id)),
        busiest: { calm, after: busiestMinutes(record) },
        throttled: record.filter((exchange) => exchange.status === 429).length,
      };
    });
  } finally {
    await worlds.stop();
  }
}

const control = async (door: string, path: string, body: object): Promise<void> => {
  const response = await fetch(`${door}${path}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  if (!response.ok) throw new Error(`${path}: ${await response.text()}`);
};

async function drained({ state }: Life["bus"]): Promise<void> {
  while (state().queues.some(({ active, locked }) => active + locked > 0)) await pause(20);
}

type Webhooks = { url: string; received: { headers: Record<string, string> }[] };
const receiverOf = async ({ state }: Pick<Life, "state">): Promise<string> => ((await state("webhooks")) as Webhooks).url;
const received = async ({ state }: Pick<Life, "state">) => ((await state("webhooks")) as Webhooks).received;

async function eventsOf(partner: ApiClient): Promise<{ id: string; at: string }[]> {
  const { value } = (await partner.listEvents({ maxpagesize: 200 })).body;
  return value.map(({ id, at }) => ({ id, at }));
}

/** Turn by turn of each queue, as many in all. */
async function sendAll(
  connectionString: string,
  count: number,
  bodies: Record<string, (number: number) => unknown>,
): Promise<void> {
  const client = new ServiceBusClient(connectionString);
  const queues = Object.entries(bodies);
  for (const [index, [queue, bodyOf]] of queues.entries()) {
    const sender = client.createSender(queue);
    const numbers = Array.from({ length: count }, (_, number) => number).filter((number) => number % queues.length === index);
    for (let from = 0; from < numbers.length; from += 500)
      await sender.sendMessages(
        numbers
          .slice(from, from + 500)
          .map((number) => ({ messageId: `waiting-${number}`, body: bodyOf(number), contentType: "application/json" })),
      );
    await sender.close();
  }
  await client.close();
}

function busiestMinutes(record: Exchange[]): Record<string, number> {
  const counts = new Map<string, Map<number, number>>();
  for (const { cloud, at } of record) {
    const minutes = counts.get(cloud) ?? new Map<number, number>();
    counts.set(cloud, minutes);
    const minute = Math.floor(Date.parse(at) / MINUTE);
    minutes.set(minute, (minutes.get(minute) ?? 0) + 1);
  }
  return Object.fromEntries([...counts].map(([cloud, minutes]) => [cloud, Math.max(...minutes.values())]));
}
