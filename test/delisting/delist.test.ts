/** A listing becomes one case, a person is asked once, and the case closes when the list says three times that the address is gone. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createVirtualClock, type VirtualClock } from "../../infra/local/functions-host/clock.ts";
import { createDelistingActivities } from "../../functions/delisting/activities.ts";
import { delistingCheck } from "../../functions/delisting/case-tasks.ts";
import { DAILY_LIMITS } from "../../functions/delisting/decide.ts";
import { ACKNOWLEDGED, delistAddress } from "../../functions/delisting/orchestrator.ts";
import { verdictIn } from "../../functions/delisting/replies.ts";
import { acceptListing } from "../../functions/delisting/queue.ts";
import { caseIdOf, type Listing } from "../../shared/messages/listing.ts";
import type { CaseRecord } from "../../shared/stores/cases.ts";
import type { TaskRecord } from "../../shared/stores/tasks.ts";
import { changeList, listingTest, type ListingTest, testZone } from "../support/blocklists.ts";
import { startClouds, type TestClouds } from "../support/clouds.ts";
import { play, type PlayedEvent } from "../support/play.ts";

let clouds: TestClouds;
beforeAll(async () => {
  clouds = await startClouds();
  const name = "gw.westeurope.cloudapp.azure.example";
  clouds.platform.peers.publicAddresses = () => [
    { fqdn: name, reverseFqdn: name, address: "203.0.113.7" },
    { fqdn: "other.westeurope.cloudapp.azure.example", reverseFqdn: undefined, address: "203.0.113.8" },
  ];
});
afterAll(() => clouds.stop());

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
type Started = Parameters<typeof delistAddress>[1];

/** What `acceptListing` needs of durable-functions: instances by id, as the host keeps them. */
function durableClient() {
  const started = new Map<string, Started>();
  const client = {
    getStatus: (id: string) =>
      started.has(id) ? Promise.resolve({ instanceId: id }) : Promise.reject(new Error("HTTP 404: no such instance")),
    startNew: (_name: string, { instanceId, input }: { instanceId: string; input: Started }) => {
      if (started.has(instanceId)) throw new Error("it is there already");
      started.set(instanceId, input);
      return Promise.resolve(instanceId);
    },
  };
  return { client: client as unknown as Parameters<typeof acceptListing>[1], started };
}

interface Setup extends ListingTest {
  clock: VirtualClock;
  listing: Listing;
  started: Map<string, Started>;
  accept(message: unknown): Promise<void>;
  /** The one case of this test. */
  one(): Promise<CaseRecord>;
  events(): Promise<string[]>;
  tasks(): Promise<TaskRecord[]>;
  /** As a person does who says that it is done. */
  complete(task: TaskRecord): Promise<TaskRecord>;
  run(options?: {
    events?: PlayedEvent[];
    /** Called before each look at the list, with the hours since the start. */
    beforeLook?: (hours: number) => Promise<void>;
    repeatActivities?: boolean;
  }): ReturnType<typeof play>;
}

async function setup(
  list: string,
  { address = "203.0.113.7", ...zone }: Parameters<typeof testZone>[1] & { address?: string } = {},
): Promise<Setup> {
  const clock = createVirtualClock();
  const under = await listingTest(clouds, clock, [testZone(list, zone)], [address]);
  const { world, partnerId, tenantId } = under;
  const { client, started } = durableClient();
  const since = new Date(clock.now()).toISOString();
  const listing: Listing = { partnerId, tenantId, list, address, codes: ["127.0.0.2"], since };
  await changeList(clouds, list, { behaviour: "honest", list: [{ address, reason: "spam seen" }] });
  const delivery = { messageId: caseIdOf(listing), deliveryCount: 1, enqueuedAt: new Date(0) };
  const began = clock.now();
  return {
    ...under,
    clock,
    listing,
    started,
    accept: (message) => acceptListing(world, client)(message, delivery),
    one: async () => {
      const { items } = await world.stores.cases.list(partnerId, {}, 10);
      expect(items).toHaveLength(1);
      return items[0] as CaseRecord;
    },
    events: async () => (await world.stores.events.list(partnerId, {}, 50)).items.map(({ type }) => type).toReversed(),
    tasks: async () =>
      (await world.stores.tasks.list(partnerId, {}, 50)).items.toSorted((one, other) =>
        one.createdAt.localeCompare(other.createdAt),
      ),
    complete: async (task) => {
      const check = delistingCheck(world);
      await check.accept?.(task, "Operator");
      return world.stores.tasks.keepSight(task, await check.look(task));
    },
    run: async ({ events = [], beforeLook = () => Promise.resolve(), repeatActivities = false } = {}) => {
      const [[instanceId, input] = []] = started;
      if (instanceId === undefined || input === undefined) throw new Error("no case was started");
      const activities = createDelistingActivities(world);
      return play({
        start: delistAddress,
        input,
        instanceId,
        clock,
        events,
        repeatActivities,
        activities: {
          ...activities,
          checkListing: async (step: Parameters<typeof activities.checkListing>[0]) => {
            await beforeLook((clock.now() - began) / HOUR);
            return activities.checkListing(step);
          },
        },
      });
    },
  };
}

const gone = (list: string, address = "203.0.113.7") => changeList(clouds, list, { unlist: [address] });
const statesOf = ({ history }: CaseRecord): string[] => history.map(({ state }) => state);

test("a listing is asked off once and found gone: evidence, task, acknowledgement, three clean answers", async () => {
  const under = await setup("plain");
  await under.accept(under.listing);
  const acknowledge = async (hours: number) => {
    const [task] = await under.tasks();
    if (task?.state === "open") await under.complete(task);
    if (hours >= 1) await gone("plain");
  };
  const { calls, result } = await under.run({ beforeLook: acknowledge, repeatActivities: true });
  expect(result).toBe("closed");
  expect(calls).not.toContain("escalateCase");
  const one = await under.one();
  expect(one).toMatchObject({
    state: "closed",
    outcome: "delisted",
    acknowledged: { by: "Operator" },
    submissions: [{ by: "Operator" }],
    findings: [{ code: "GatewayUnknown" }, { code: "SpfWithoutAddress" }],
  });
  expect(one.evidence).toMatchObject({
    verdict: "listed",
    codes: [{ code: "127.0.0.2", meaning: "spam source" }],
    reasons: ["spam seen"],
    reverseNames: ["gw.westeurope.cloudapp.azure.example"],
    forwardConfirmed: true,
  });
  expect(one.task).toMatchObject({
    kind: "askForRemoval",
    link: "https://lists.example/remove?ip=203.0.113.7",
    text: expect.stringContaining("mail of contoso.example"),
    fields: expect.arrayContaining([{ label: "Address", value: "203.0.113.7" }]),
    reminders: 0,
  });
  expect(statesOf(one)).toEqual(["opened", "ready", "waiting", "verifying", "closed"]);
  expect(await under.tasks()).toEqual([
    expect.objectContaining({
      kind: "delisting",
      state: "done",
      title: "Ask The plain list to remove 203.0.113.7",
      link: "https://lists.example/remove?ip=203.0.113.7",
      verification: expect.objectContaining({ message: "The plain list was asked for the removal" }),
    }),
  ]);
  expect(await under.events()).toEqual(["delisting.opened", "delisting.closed"]);
});

test("what the list does not say a second time is dismissed before anybody is asked", async () => {
  const under = await setup("dismissed");
  await under.accept(under.listing);
  await gone("dismissed");
  await under.run();
  expect(await under.one()).toMatchObject({ state: "closed", outcome: "dismissed", submissions: [] });
  expect([await under.events(), await under.tasks()]).toEqual([[], []]);
});

test("the waits double, and clean answers are as far apart as they have to be", async () => {
  const under = await setup("waits");
  await under.accept(under.listing);
  const looks: number[] = [];
  await under.run({
    beforeLook: async (hours) => {
      looks.push(Math.round(hours * 60));
      if (hours > 5) await gone("waits");
    },
  });
  // The first makes sure; reminders are due one and four hours later.
  expect(looks.slice(0, 6)).toEqual([1, 16, 31, 61, 121, 241]);
  expect(looks.slice(-2).map((look) => look - (looks.at(-3) ?? 0))).toEqual([1, 2]);
  const one = await under.one();
  expect(one.task?.reminders).toBe(2);
  expect(await under.events()).toEqual(["delisting.opened", "delisting.reminded", "delisting.reminded", "delisting.closed"]);
});

test("an acknowledgement wakes the case at once", async () => {
  const under = await setup("awake");
  await under.accept(under.listing);
  const looks: number[] = [];
  await under.run({
    events: [{ afterInMilliseconds: 2 * MINUTE, name: ACKNOWLEDGED }],
    beforeLook: async (hours) => {
      looks.push(Math.round(hours * 60));
      if (looks.length === 2) await gone("awake");
    },
  });
  expect(looks).toEqual([1, 2, 3, 4]);
});

test("when nobody asks for a day a person has to step in, once, and the case is watched until it is over", async () => {
  const under = await setup("stubborn");
  await under.accept(under.listing);
  const { calls, elapsedInMilliseconds } = await under.run({
    beforeLook: (hours) => (hours > 24 * 9 ? gone("stubborn") : Promise.resolve()),
  });
  const one = await under.one();
  expect(one).toMatchObject({ state: "closed", outcome: "delisted", task: { kind: "askForRemoval" } });
  expect(statesOf(one)).toEqual(["opened", "ready", "ready", "ready", "escalated", "closed"]);
  const escalated = one.history.find(({ state }) => state === "escalated");
  expect(Date.parse(escalated?.at ?? "") - Date.parse(one.openedAt)).toBe(24 * HOUR + MINUTE);
  expect(elapsedInMilliseconds).toBeLessThan(12 * 24 * HOUR);
  expect((await under.events()).filter((type) => type === "delisting.escalated")).toHaveLength(1);
  // The name that an alert watches for.
  expect(calls.filter((name) => name === "escalateCase")).toHaveLength(1);
});

test("a list that was asked and does not let go is a person's matter after a day, with a task of its own", async () => {
  const under = await setup("deaf");
  await under.accept(under.listing);
  await under.run({
    beforeLook: async (hours) => {
      const task = (await under.tasks()).find(({ state }) => state === "open");
      if (task?.title.startsWith("Ask")) await under.complete(task);
      if (hours > 40) {
        expect(task).toMatchObject({ title: "Step in: The deaf list still has 203.0.113.7" });
        await gone("deaf");
      }
    },
  });
  const one = await under.one();
  expect(statesOf(one)).toEqual(["opened", "ready", "waiting", "escalated", "closed"]);
  expect(one.submissions).toHaveLength(1);
});

test("an address that comes back is asked for again only after the cooldown, and its case knows the former one", async () => {
  const under = await setup("relapse");
  await under.accept(under.listing);
  const asking = async (): Promise<void> => {
    const task = (await under.tasks()).find(({ state }) => state === "open");
    if (task) await under.complete(task);
  };
  await under.run({ beforeLook: (hours) => (hours > 1 ? gone("relapse") : asking()) });
  const first = await under.one();
  const listing = { ...under.listing, since: new Date(under.clock.now()).toISOString() };
  await changeList(clouds, "relapse", { list: ["203.0.113.7"] });
  under.started.clear();
  await under.accept(listing);
  const began = under.clock.now();
  await under.run({
    beforeLook: async () => {
      await asking();
      if (under.clock.now() > began + 30 * HOUR) await gone("relapse");
    },
  });
  const second = await under.world.stores.cases.get(under.partnerId, caseIdOf(listing));
  expect(second).toMatchObject({
    state: "closed",
    previousCaseId: first.id,
    findings: expect.arrayContaining([expect.objectContaining({ code: "ListedAgain" })]),
  });
  expect(statesOf(second)).toEqual(["opened", "cooldown", "ready", "waiting", "verifying", "closed"]);
  const [before = 0, after = 0] = second.submissions.map(({ at }) => Date.parse(at));
  expect(after - before).toBeGreaterThanOrEqual(24 * HOUR);
});

test("a list that is switched off by the setting is asked by nobody", async () => {
  const under = await setup("paused");
  under.world.pausedLists = ["paused"];
  under.world.delistingPace = { ...under.world.delistingPace, deadlineInSeconds: 24 * 60 * 60 };
  await under.accept(under.listing);
  await under.run({ beforeLook: (hours) => (hours > 25 ? gone("paused") : Promise.resolve()) });
  const one = await under.one();
  expect(statesOf(one)).toEqual(["opened", "cooldown", "escalated", "closed"]);
  const escalated = one.history.find(({ state }) => state === "escalated");
  expect(Date.parse(escalated?.at ?? "")).toBe(Date.parse(one.deadline));
  expect((await under.tasks()).map(({ title }) => title)).toEqual(["Step in: The paused list still has 203.0.113.7"]);
});

test("a day has room for twenty requests of a partner, and for fifty of all; the same one asks once", async () => {
  const { dailyOffers } = (await setup("offers")).world.stores;
  const day = Date.parse("1999-03-05T00:00:00Z") + Math.floor(Math.random() * 9000) * 24 * HOUR;
  const claims = async (partnerId: string, count: number) => {
    const ids = Array.from({ length: count }, (_, index) => ({ id: `${partnerId}-${index}`, partnerId }));
    const granted: boolean[] = [];
    for (const offer of ids) granted.push(await dailyOffers.claim(offer, day, DAILY_LIMITS));
    return granted.filter(Boolean).length;
  };
  expect(await claims("northwind", 22)).toBe(20);
  expect(await claims("northwind", 20)).toBe(20);
  expect([await claims("fabrikam", 21), await claims("adatum", 21)]).toEqual([20, 10]);
});

test("a list that goes blind, or has the address again, closes nothing", async () => {
  const under = await setup("flapping");
  await under.accept(under.listing);
  let looks = 0;
  await under.run({
    beforeLook: async () => {
      looks += 1;
      if (looks === 2) await gone("flapping");
      if (looks === 4) await changeList(clouds, "flapping", { behaviour: "127.255.255.254" });
      if (looks === 5) await changeList(clouds, "flapping", { behaviour: "nothing" });
      if (looks === 6) await changeList(clouds, "flapping", { behaviour: "honest", list: ["203.0.113.7"] });
      if (looks === 8) await gone("flapping");
    },
  });
  const one = await under.one();
  expect(statesOf(one).filter((state) => state === "verifying")).toHaveLength(2);
  expect(looks).toBe(10);
});

test("an address without a reverse name is put right before anybody asks", async () => {
  const under = await setup("nameless", { address: "203.0.113.8" });
  await under.accept(under.listing);
  let looks = 0;
  await under.run({
    beforeLook: async () => {
      looks += 1;
      const [task] = await under.tasks();
      if (looks === 2 && task) {
        expect(await under.one()).toMatchObject({ state: "remediation", task: { kind: "putRight" } });
        expect(await under.complete(task)).toMatchObject({
          state: "open",
          verification: { found: "missing", message: expect.stringContaining("has no reverse DNS name") },
        });
      }
      if (looks === 3 && task) {
        const name = "other.westeurope.cloudapp.azure.example";
        clouds.platform.peers.publicAddresses = () => [{ fqdn: name, reverseFqdn: name, address: "203.0.113.8" }];
        expect(await under.complete(task)).toMatchObject({ state: "done", title: expect.stringContaining("Put right") });
      }
      if (looks === 4) {
        expect(await under.one()).toMatchObject({ state: "ready", task: { kind: "askForRemoval" } });
        expect((await under.tasks())[1]).toMatchObject({ state: "open", title: "Ask The nameless list to remove 203.0.113.8" });
        await gone("nameless", "203.0.113.8");
      }
    },
  });
  expect(statesOf(await under.one())).toContain("ready");
  const name = "gw.westeurope.cloudapp.azure.example";
  clouds.platform.peers.publicAddresses = () => [{ fqdn: name, reverseFqdn: name, address: "203.0.113.7" }];
});

test("what expires needs nobody; what nobody can ask for goes to a person at once", async () => {
  const link = "https://lists.example/{address}";
  const expiring = await setup("expiring", { removal: { kind: "expires", link, note: "Goes by itself." } });
  await expiring.accept(expiring.listing);
  await expiring.run({ beforeLook: (hours) => (hours > 1 ? gone("expiring") : Promise.resolve()) });
  expect(await expiring.one()).toMatchObject({ state: "closed" });
  expect((await expiring.one()).task).toBeUndefined();
  expect(await expiring.tasks()).toEqual([]);

  const hopeless = await setup("hopeless", { removal: { kind: "replace", link, note: "Only the provider may ask." } });
  await hopeless.accept(hopeless.listing);
  await hopeless.run({ beforeLook: (hours) => (hours > 80 ? gone("hopeless") : Promise.resolve()) });
  const one = await hopeless.one();
  expect(statesOf(one)).toEqual(["opened", "escalated", "closed"]);
  expect(one.task).toMatchObject({ kind: "replaceAddress", reminders: 0 });
  expect(await hopeless.tasks()).toEqual([
    expect.objectContaining({ state: "done", instructions: "Only the provider may ask." }),
  ]);
});

describe("Microsoft's own lists", () => {
  const virtualMachineId =
    "/subscriptions/00000000-0000-4000-8000-0000000000aa/resourceGroups/contoso-westeurope-mx/providers/Microsoft.Compute/virtualMachines/gateway-1";

  /** A gateway whose heartbeats tell what it is answered, every ten minutes. */
  async function blocked(list: string) {
    const under = await setup(list);
    const { partnerId, tenantId, clock } = under;
    const { gateways, heartbeats } = under.world.stores;
    const name = "gw.westeurope.cloudapp.azure.example";
    const { gateway } = await gateways.put({
      partnerId,
      tenantId,
      virtualMachineId,
      entraTenantId: "t",
      subscriptionId: "s",
      address: "203.0.113.7",
      fqdn: name,
      region: "westeurope",
      state: { health: "healthy", reason: "Running" },
    });
    await heartbeats.register({
      partnerId,
      gatewayId: gateway.id,
      tenantId,
      virtualMachineId,
      entraTenantId: "t",
      clientId: "c",
    });
    const beat = (reply: string) =>
      heartbeats.record(
        partnerId,
        gateway.id,
        {
          version: 1,
          sentAt: new Date(clock.now()).toISOString(),
          queue: { count: 3, oldestAgeInSeconds: 60 },
          badmail: { count: 0, oldestAgeInSeconds: null },
          services: [],
          certificate: null,
          probe: {
            at: new Date(clock.now()).toISOString(),
            host: "contoso-example.mail.protection.outlook.example",
            stage: "RCPT",
            reply,
          },
          applied: { generation: 1, part: 1 },
          scanners: [],
        },
        { levels: {}, readingInSeconds: 600, judge: () => [] },
      );
    return { ...under, beat };
  }
  const banned = "550 5.7.606 Access denied, banned sending IP [203.0.113.7]";
  const investigated =
    "550 5.7.511 Access denied, banned sender[203.0.113.7]. To request removal forward this message to delist@microsoft.com";

  test("at the portal: steps for a person, asked once more after a day, and over after two accepted replies ten minutes apart", async () => {
    const under = await blocked("microsoft-portal");
    await under.accept(under.listing);
    const accepted: number[] = [];
    await under.run({
      beforeLook: async (hours) => {
        if (hours > 30) accepted.push(under.clock.now());
        await under.beat(hours > 30 ? "250 2.1.5 Recipient OK" : banned);
        const task = (await under.tasks()).find(({ state }) => state === "open");
        if (task) await under.complete(task);
      },
    });
    const one = await under.one();
    expect(one).toMatchObject({
      outcome: "delisted",
      listTitle: "Microsoft 365",
      evidence: { reply: banned, gateway: { name: "gw.westeurope.cloudapp.azure.example" }, queue: 3 },
      task: { link: "https://sender.office.com/Delist", steps: expect.arrayContaining(["There, choose Delist IP."]) },
    });
    expect(statesOf(one)).toEqual(["opened", "ready", "waiting", "ready", "waiting", "verifying", "closed"]);
    expect(one.submissions).toHaveLength(2);
    expect((accepted.at(-1) ?? 0) - (accepted[0] ?? 0)).toBeGreaterThanOrEqual(10 * MINUTE);
    expect((await under.tasks())[0]?.instructions).toContain("1. Open sender.office.com.");
  });

  test("with an investigation: our mail goes out once, after somebody's word, with the reply in it", async () => {
    const under = await blocked("microsoft-mail");
    await under.accept(under.listing);
    await under.run({
      repeatActivities: true,
      beforeLook: async (hours) => {
        await under.beat(hours > 5 ? "250 2.1.5 Recipient OK" : investigated);
        const task = (await under.tasks()).find(({ state }) => state === "open");
        if (task) {
          expect([task.title, under.mails.size]).toEqual([
            "Approve that Microsoft 365, with an investigation (5.7.511) is asked to remove 203.0.113.7",
            0,
          ]);
          await under.complete(task);
        }
      },
    });
    const one = await under.one();
    expect(statesOf(one)).toEqual(["opened", "ready", "submitted", "waiting", "verifying", "closed"]);
    expect([...under.mails.values()]).toEqual([
      expect.objectContaining({
        to: "delist@microsoft.com",
        replyTo: "postmaster@contoso.example",
        text: expect.stringContaining(investigated),
      }),
    ]);
    expect(one.submissions).toHaveLength(1);
  });

  test("what Microsoft replies is no other list's business", async () => {
    const under = await blocked("elsewhere");
    await under.accept(under.listing);
    await under.run({
      beforeLook: async (hours) => {
        await under.beat("250 2.1.5 Recipient OK");
        if (hours > 0.2) await gone("elsewhere");
      },
    });
    const one = await under.one();
    expect(one).toMatchObject({ evidence: { reply: "250 2.1.5 Recipient OK" }, task: { kind: "askForRemoval" } });
    expect(one.task?.text).not.toContain("250 2.1.5");
  });

  test("a reply that is about something else says nothing", () => {
    const replies = {
      "250 2.1.5 Recipient OK": "clean",
      [banned]: "listed",
      [investigated]: "listed",
      "550 5.7.649 banned sending IP": "listed",
      "550 5.7.1 Service unavailable; client blocked using Blocklist 1. To be removed, mail delist@microsoft.com": "listed",
      "550 5.7.1 Service unavailable; blocked using Spamhaus": "unknown",
      "550 5.7.64 TenantAttribution; Relay Access Denied": "unknown",
      "550 5.7.513 blocked by contoso.example using Customer Block list": "unknown",
      "451 4.7.500 Server busy": "unknown",
      "": "unknown",
    };
    expect(Object.fromEntries(Object.keys(replies).map((reply) => [reply, verdictIn(reply)]))).toEqual(replies);
  });
});

test("the case of a tenant that is gone is closed", async () => {
  const under = await setup("released");
  await under.accept(under.listing);
  await under.world.stores.tenants.change(under.partnerId, under.tenantId, () => ({ stage: "gone" }));
  await under.run();
  expect(await under.one()).toMatchObject({ state: "closed", outcome: "released" });
});

test("the case of an address that its gateway has left is closed", async () => {
  const under = await setup("left");
  await under.accept(under.listing);
  const { partnerId, tenantId, listing } = under;
  const held = { address: { ipAddress: listing.address } };
  await under.world.stores.tenants.change(partnerId, tenantId, ({ facts }) => ({ facts: { ...facts, heldAddresses: [held] } }));
  await under.run();
  expect(await under.one()).toMatchObject({ state: "closed", outcome: "released" });
});

describe("messages", () => {
  const later = (listing: Listing, minutes: number): Listing => ({
    ...listing,
    since: new Date(Date.parse(listing.since) + minutes * MINUTE).toISOString(),
  });

  test("that are duplicates, also at the same time, open one case and start it once", async () => {
    const under = await setup("duplicate");
    await Promise.all([under.accept(under.listing), under.accept(under.listing)]).catch(() => under.accept(under.listing));
    await under.accept(under.listing);
    await under.one();
    expect([...under.started.keys()]).toEqual([caseIdOf(under.listing)]);
  });

  test("that were accepted by one who died before starting the case are made good by the next delivery", async () => {
    const under = await setup("unstarted");
    await under.accept(under.listing);
    under.started.clear();
    await under.accept(under.listing);
    expect(under.started.size).toBe(1);
  });

  test("about a pair whose case is open join it; after it was closed, later ones open a new case linked to it, older ones nothing", async () => {
    const under = await setup("again");
    const { cases } = under.world.stores;
    const { partnerId, listing, started } = under;
    await under.accept(listing);
    await under.accept(later(listing, 30));
    const first = await under.one();
    await cases.change(partnerId, first.id, () => ({ state: "closed", outcome: "delisted", message: "gone" }));
    await under.accept(listing);
    await under.accept(later(listing, -30));
    expect((await under.one()).state).toBe("closed");
    const relisted = later(listing, 60);
    await under.accept(relisted);
    await under.accept(listing);
    expect([...started.keys()]).toEqual([first.id, caseIdOf(relisted)]);
    expect(await cases.get(partnerId, caseIdOf(relisted))).toMatchObject({ state: "opened", previousCaseId: first.id });
  });

  test("that can't be read are refused with a reason that trying again does not change", async () => {
    const under = await setup("malformed");
    for (const message of [undefined, "text", {}, { ...under.listing, address: "203.0.113" }, { ...under.listing, list: "../x" }])
      await expect(under.accept(message)).rejects.toMatchObject({ code: "MessageMalformed", transient: false });
    await expect(under.accept({ ...under.listing, since: "yesterday" })).rejects.toThrow("since: ");
    expect(under.started.size).toBe(0);
  });

  test("about a tenant that is no more are dropped, and the log says so", async () => {
    const under = await setup("nobodys");
    await under.accept({ ...under.listing, tenantId: "nowhere" });
    expect([under.started.size, under.logged.filter((line) => line.includes("dropped")).length]).toEqual([0, 1]);
  });
});
