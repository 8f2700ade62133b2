/**
 * Years of listings by chance: real cases, tables in memory, the host's own engine in virtual time. Lists list, let go, fall silent and lie
 * down; people do their tasks late, or never, or unasked; steps fail before and after their effect; hosts are killed and begin again.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createDelistingActivities } from "../../functions/delisting/activities.ts";
import { acknowledge, delistingCheck } from "../../functions/delisting/case-tasks.ts";
import { ACKNOWLEDGED, delistAddress } from "../../functions/delisting/orchestrator.ts";
import { acceptListing } from "../../functions/delisting/queue.ts";
import type { DelistingWorld } from "../../functions/delisting/world.ts";
import { createVirtualClock } from "../../infra/local/functions-host/clock.ts";
import { createEngine, type Engine } from "../../infra/local/functions-host/engine.ts";
import { createApp, withApp } from "../../infra/local/functions-host/functions-core.ts";
import { openStore } from "../../infra/local/functions-host/store.ts";
import { registerActivities, registerOrchestrator } from "../../shared/durable/register.ts";
import type { Orchestrator } from "../../shared/durable/routine.ts";
import { ControlPlaneError } from "../../shared/errors.ts";
import { caseIdOf, type Listing } from "../../shared/messages/listing.ts";
import { createCaseStore, type CaseRecord } from "../../shared/stores/cases.ts";
import { createDailyOfferStore } from "../../shared/stores/daily-offers.ts";
import { createEventStore } from "../../shared/stores/events.ts";
import { createTaskStore } from "../../shared/stores/tasks.ts";
import { memoryStorage } from "./memory-storage.ts";
import { testZone } from "./blocklists.ts";
import { createRandom } from "./random.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

const link = "https://lists.example/{address}";
const zones = [
  testZone("form"),
  testZone("expiring", { removal: { kind: "expires", link, note: "", answersWithinDays: 7 } }),
  testZone("hopeless", { removal: { kind: "replace", link, note: "" } }),
];
const lists = ["form", "expiring", "hopeless", "microsoft-portal", "microsoft-mail"];

export interface Year {
  cases: CaseRecord[];
  /** When lists were really asked, by address and list. */
  asked: Map<string, number[]>;
  /** Looks at each case, and how often hosts were killed. */
  looks: Map<string, number[]>;
  kills: number;
  endedAt: number;
  /** Cases that nobody goes on with although they are open. */
  orphans: string[];
}

export async function playYears(seed: number, { days = 365, addresses = 2 } = {}): Promise<Year> {
  const random = createRandom(seed);
  const chance = (share: number): boolean => random() < share;
  const between = (least: number, most: number): number => least + random() * (most - least);
  const clock = createVirtualClock();
  const began = clock.now();
  const storage = memoryStorage();
  const events = createEventStore(storage);
  const cases = createCaseStore(storage, clock);
  const tasks = createTaskStore(storage, clock, events);
  const partnerId = "northwind";
  const tenantId = "contoso";

  const pairs = Array.from({ length: addresses }, (_, index) => `203.0.113.${index + 1}`).flatMap((address) =>
    lists.map((list) => ({ address, list, listed: false, blind: false, forgiving: chance(0.7), since: "" })),
  );
  const pairOf = (list: string, address: string) => {
    const pair = pairs.find((one) => one.list === list && one.address === address);
    if (!pair) throw new Error(`no ${address} on ${list}`);
    return pair;
  };
  const asked = new Map<string, number[]>();
  const looks = new Map<string, number[]>();
  /** A list that forgives lets go some hours after it was asked. */
  const ask = (list: string, address: string): void => {
    asked.set(`${list} ${address}`, [...(asked.get(`${list} ${address}`) ?? []), clock.now()]);
    const pair = pairOf(list, address);
    if (pair.forgiving) clock.setTimer(clock.now() + between(0.1, 40) * HOUR, () => void (pair.listed = false));
  };

  const nothing = () => Promise.resolve(undefined);
  let pausedLists: string[] = [];
  const mails = new Set<string>();
  const world = {
    clock,
    log: { warning: () => undefined, information: () => undefined },
    stores: {
      cases,
      tasks,
      events,
      dailyOffers: createDailyOfferStore(storage),
      tenants: {
        find: () => Promise.resolve({ stage: "live", facts: {}, spec: { microsoft365: { domains: ["contoso.example"] } } }),
      },
      drift: { find: nothing },
      listings: { of: () => Promise.resolve([]) },
      gateways: {
        of: () =>
          Promise.resolve(
            Array.from({ length: addresses }, (_, index) => ({
              id: `g${index + 1}`,
              address: `203.0.113.${index + 1}`,
              fqdn: "gw.contoso.example",
              state: { health: "healthy" },
            })),
          ),
      },
      heartbeats: {
        find: (_partner: string, id: string) => {
          const address = `203.0.113.${id.slice(1)}`;
          const portal = pairOf("microsoft-portal", address);
          const mail = pairOf("microsoft-mail", address);
          const reply = mail.listed ? "550 5.7.511 banned" : portal.listed ? "550 5.7.606 banned" : "250 2.1.5 Recipient OK";
          // The machine looks every ten minutes, and is not always heard.
          const at = Math.floor(clock.now() / (10 * MINUTE)) * 10 * MINUTE;
          return Promise.resolve({ last: { probe: { at: new Date(at).toISOString(), reply: portal.blind ? "" : reply } } });
        },
      },
    },
    blocklists: {
      zones,
      checkOne: (list: string, address: string) => {
        const { blind, listed } = pairOf(list, address);
        return Promise.resolve(blind ? { state: "unknown" } : listed ? { state: "listed", codes: [] } : { state: "clean" });
      },
      reasons: () => Promise.resolve([]),
    },
    resolver: {
      // Now and then the reverse name is missing, and somebody puts it right.
      reverse: () => Promise.resolve(chance(0.05) ? { state: "absent" } : { state: "present", actual: ["gw.contoso.example"] }),
      addresses: () => Promise.resolve({ state: "present", actual: pairs.map(({ address }) => address) }),
      texts: () => Promise.resolve({ state: "absent" }),
    },
    delistingPace: {
      patience: { tries: 3, firstWaitInSeconds: 5, longestWaitInSeconds: 120 },
      firstWaitInSeconds: 15 * 60,
      deadlineInSeconds: 8 * 24 * 3600,
      confirmAfterInSeconds: 60,
    },
    get pausedLists() {
      return pausedLists;
    },
    probes: {
      sendOnce: (_organization: string, _mailbox: string, { subject }: { subject: string }) => {
        if (!mails.has(subject)) ask("microsoft-mail", /for ([\d.]+) /.exec(subject)?.[1] ?? "");
        mails.add(subject);
        return Promise.resolve();
      },
    },
    canaryMailbox: { organization: "ours", address: "gatehouse@northwind.example" },
    reportFailure: () => undefined,
  } as unknown as DelistingWorld;

  // Each may fail before or after its effect, and is told the same either way.
  const failed = (): never => {
    throw new ControlPlaneError("ServiceUnavailable", "a fault", 503, true);
  };
  const activities = Object.fromEntries(
    Object.entries(createDelistingActivities(world)).map(([name, run]) => [
      name,
      async (input: never) => {
        if (name === "checkListing") {
          const { caseId } = input as { caseId: string };
          looks.set(caseId, [...(looks.get(caseId) ?? []), clock.now()]);
        }
        if (chance(0.01)) failed();
        const result = await (run as (input: never) => Promise<unknown>)(input);
        return chance(0.01) ? failed() : result;
      },
    ]),
  );
  const app = createApp({ log: () => undefined });
  await withApp(app, () => {
    registerOrchestrator(delistAddress as Orchestrator<unknown, unknown>);
    registerActivities(activities, {
      reportFailure: () => undefined,
      stores: { operations: { attemptsOf: async () => undefined } },
    });
  });
  const directory = mkdtempSync(join(tmpdir(), "delisting-years-"));
  const host = (): Engine => {
    const store = openStore(join(directory, "state.sqlite"));
    const made = createEngine({ app, store, clock, log: () => undefined, maxConcurrentActivities: 8 });
    made.begin();
    return made;
  };
  let engine = host();
  let kills = 0;
  const client = {
    getStatus: (id: string) => {
      const instance = engine.getInstance(id);
      return instance ? Promise.resolve({ runtimeStatus: instance.status }) : Promise.reject(new Error("HTTP 404"));
    },
    startNew: (name: string, options: { instanceId: string; input: unknown }) => {
      engine.start(name, options);
      return Promise.resolve(options.instanceId);
    },
  } as unknown as Parameters<typeof acceptListing>[1];
  const delivery = { messageId: "m", deliveryCount: 1, enqueuedAt: new Date(0) };

  const open = async (): Promise<CaseRecord[]> =>
    (await cases.list(partnerId, {}, 5000)).items.filter(({ state }) => state !== "closed");

  /** As the blocklists' timer does: a listed address without an open case is told, again and again. */
  async function tell(pair: (typeof pairs)[number]): Promise<void> {
    if (!pair.listed || pair.blind) return;
    const last = await cases.lastOf({ partnerId, ...pair });
    if (last && last.state !== "closed") return;
    const since = new Date(clock.now()).toISOString();
    const listing: Listing = { partnerId, tenantId, list: pair.list, address: pair.address, codes: ["127.0.0.2"], since };
    for (let times = chance(0.2) ? 2 : 1; times > 0; times -= 1) await acceptListing(world, client)(listing, delivery);
    if (chance(0.05)) engine.raiseEvent(caseIdOf(listing), ACKNOWLEDGED, null);
  }

  /** People: most do what they are asked some time, some say things that nobody asked. */
  async function people(): Promise<void> {
    for (const task of (await tasks.list(partnerId, { state: "open" }, 500)).items) {
      if (!chance(0.15)) continue;
      const known = await cases.find(partnerId, task.subject);
      const asks = task.about["asked"] === "askForRemoval";
      await delistingCheck(world).accept?.(task, "Operator").catch(refused);
      const after = await cases.find(partnerId, task.subject);
      if (asks && known && after && after.submissions.length > known.submissions.length) ask(after.list, after.address);
    }
    for (const one of await open())
      if (chance(0.02)) {
        const before = one.submissions.length;
        const after = await acknowledge(world, { partnerId, caseId: one.id }, { by: "Partner" }).catch(refused);
        if (after && after.submissions.length > before && after.task?.kind === "askForRemoval") ask(one.list, one.address);
      }
  }
  const refused = (error: unknown): undefined => {
    if (!(error instanceof ControlPlaneError) || error.code !== "DelistingNotReady") throw error;
    return undefined;
  };

  const over = Promise.withResolvers<void>();
  const endsAt = began + days * DAY;
  /** Time stands still while it happens. */
  const every = (hours: number, happens: () => void | Promise<void>): void => {
    clock.setTimer(clock.now() + between(0.5, 1.5) * hours * HOUR, () => {
      if (clock.now() >= endsAt) return;
      const release = clock.hold();
      Promise.resolve(happens()).then(
        () => {
          every(hours, happens);
          release();
        },
        (error: unknown) => over.reject(error instanceof Error ? error : new Error(String(error))),
      );
    });
  };
  for (const pair of pairs) {
    every(24 * 25, () => {
      pair.listed = true;
      pair.forgiving = chance(0.7);
      if (chance(0.4)) clock.setTimer(clock.now() + between(0.01, 12) * DAY, () => void (pair.listed = false));
    });
    every(24 * 30, () => {
      pair.blind = true;
      clock.setTimer(clock.now() + between(0.5, 60) * HOUR, () => void (pair.blind = false));
    });
    every(6, () => tell(pair));
  }
  every(5, people);
  every(24 * 20, () => void (pausedLists = chance(0.5) ? [] : [lists[Math.floor(between(0, lists.length))] ?? ""]));
  every(24 * 3, () => {
    kills += 1;
    engine.close();
    engine = host();
  });
  clock.setTimer(endsAt, () => over.resolve());
  try {
    await over.promise;
    const release = clock.hold();
    const all = (await cases.list(partnerId, {}, 5000)).items;
    const orphans = all
      .filter(({ id, state }) => state !== "closed" && engine.getInstance(id)?.status !== "Running")
      .map(({ id }) => id);
    release();
    return { cases: all, asked, looks, kills, endedAt: clock.now(), orphans };
  } finally {
    engine.close();
    rmSync(directory, { recursive: true, force: true });
  }
}

/** What must never be, in words; empty when all is well. */
export function wrongIn({ cases, asked, looks, endedAt, orphans }: Year): string[] {
  const wrong = orphans.map((id) => `${id} is open and nobody goes on with it`);
  for (const [pair, times] of asked)
    for (const [index, at] of times.entries()) {
      const before = times[index - 1];
      if (before !== undefined && at - before < DAY) wrong.push(`${pair} was asked twice in a day`);
      const thirdBefore = times[index - 3];
      if (thirdBefore !== undefined && at - thirdBefore < 30 * DAY) wrong.push(`${pair} was asked four times in thirty days`);
    }
  for (const { id, openedAt, history, state, closedAt } of cases) {
    const settled = history.find((entry) => entry.state === "closed" || entry.state === "escalated");
    const by = settled ? Date.parse(settled.at) : endedAt;
    if (by - Date.parse(openedAt) > 9 * DAY) wrong.push(`${id} was neither closed nor escalated within nine days`);
    // A day between two looks, and what the tries of failing steps take.
    const times = [Date.parse(openedAt), ...(looks.get(id) ?? []), state === "closed" ? Date.parse(closedAt ?? "") : endedAt];
    if (times.some((at, index) => at - (times[index - 1] ?? at) > DAY + HOUR))
      wrong.push(`${id} was not looked at for more than a day`);
  }
  return wrong;
}
