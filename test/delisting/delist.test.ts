/** A listing becomes one case, a person is asked once, and the case closes when the list says three times that the address is gone. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createVirtualClock, type VirtualClock } from "../../infra/local/functions-host/clock.ts";
import { createDelistingActivities } from "../../functions/delisting/activities.ts";
import { delistingCheck } from "../../functions/delisting/case-tasks.ts";
import { ACKNOWLEDGED, delistAddress } from "../../functions/delisting/orchestrator.ts";
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
    if (hours < 0.2) return;
    const [task] = await under.tasks();
    if (task?.state === "open") await under.complete(task);
    if (hours >= 1) await gone("plain");
  };
  const { result } = await under.run({ beforeLook: acknowledge, repeatActivities: true });
  expect(result).toBe("closed");
  const one = await under.one();
  expect(one).toMatchObject({ state: "closed", outcome: "delisted", acknowledged: { by: "Operator" }, findings: [] });
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

test("the waits double, and clean answers are as far apart as they have to be", async () => {
  const under = await setup("waits");
  await under.accept(under.listing);
  const looks: number[] = [];
  await under.run({
    beforeLook: async (hours) => {
      looks.push(Math.round(hours * 60));
      if (hours > 24) await gone("waits");
    },
  });
  // Reminders wake the case after one and four hours, too.
  expect(looks.slice(0, 3)).toEqual([15, 45, 60]);
  expect(looks.slice(-2).map((look) => look - (looks.at(-3) ?? 0))).toEqual([1, 2]);
  const one = await under.one();
  expect(one.task?.reminders).toBe(2);
  expect(await under.events()).toEqual(["delisting.opened", "delisting.reminded", "delisting.reminded", "delisting.closed"]);
});

test("an acknowledgement wakes the case at once", async () => {
  const under = await setup("awake");
  await under.accept(under.listing);
  await gone("awake");
  const looks: number[] = [];
  await under.run({
    events: [{ afterInMilliseconds: 2 * MINUTE, name: ACKNOWLEDGED }],
    beforeLook: (hours) => Promise.resolve(void looks.push(Math.round(hours * 60))),
  });
  expect(looks).toEqual([2, 3, 4]);
});

test("after the deadline a person has to step in, once, and the case is watched until it is over", async () => {
  const under = await setup("stubborn");
  await under.accept(under.listing);
  const { elapsedInMilliseconds } = await under.run({
    beforeLook: (hours) => (hours > 24 * 9 ? gone("stubborn") : Promise.resolve()),
  });
  const one = await under.one();
  expect(one).toMatchObject({ state: "closed", outcome: "delisted" });
  expect(statesOf(one)).toEqual(["opened", "ready", "ready", "ready", "escalated", "closed"]);
  const escalated = one.history.find(({ state }) => state === "escalated");
  expect(Date.parse(escalated?.at ?? "") - Date.parse(one.openedAt)).toBeGreaterThanOrEqual(48 * HOUR);
  expect(Date.parse(escalated?.at ?? "") - Date.parse(one.openedAt)).toBeLessThan(49 * HOUR);
  expect(elapsedInMilliseconds).toBeLessThan(12 * 24 * HOUR);
  expect((await under.events()).filter((type) => type === "delisting.escalated")).toHaveLength(1);
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
      if (looks === 1 && task) {
        expect(await under.one()).toMatchObject({ state: "remediation", task: { kind: "putRight" } });
        expect(await under.complete(task)).toMatchObject({
          state: "open",
          verification: { found: "missing", message: expect.stringContaining("has no reverse DNS name") },
        });
      }
      if (looks === 2 && task) {
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

test("the case of a tenant that is gone is closed", async () => {
  const under = await setup("released");
  await under.accept(under.listing);
  await under.world.stores.tenants.change(under.partnerId, under.tenantId, () => ({ stage: "gone" }));
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
