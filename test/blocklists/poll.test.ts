/** A listing is found on the second sighting and told once; a list that can't be believed finds nothing and is reported blind. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { pollBlocklists } from "../../functions/blocklists/poll.ts";
import { parseListing } from "../../shared/messages/listing.ts";
import { changeList, listingTest, testZone } from "../support/blocklists.ts";
import { startClouds, type TestClouds } from "../support/clouds.ts";

let clouds: TestClouds;
beforeAll(async () => {
  clouds = await startClouds();
});
afterAll(() => clouds.stop());

const MINUTE = 60_000;
const start = Date.UTC(2030, 0, 1);
const clockAt = (minutes: number) => {
  let now = start + minutes * MINUTE;
  return { now: () => now, pass: (passed: number) => (now += passed * MINUTE) };
};

describe("with a list that has the gateway's address", () => {
  test("it is found on the second sighting, told once, and cleared after three clean answers", async () => {
    const clock = clockAt(0);
    const { world, sent, partnerId, tenantId } = await listingTest(clouds, clock, [testZone("one")], ["203.0.113.7"]);
    const { stores } = world;
    const run = async () => {
      await pollBlocklists(world);
      clock.pass(1);
      const [record] = await stores.listings.of(partnerId);
      return record?.sightings.one?.state ?? "clean";
    };
    const listed = async () =>
      (await stores.tenants.get(partnerId, tenantId)).conditions.find(({ type }) => type === "Listed")?.status;

    await changeList(clouds, "one", {});
    expect([await run(), await listed()]).toEqual(["clean", undefined]);
    await changeList(clouds, "one", { list: ["203.0.113.7"] });
    expect([await run(), sent.length]).toEqual(["suspected", 0]);
    expect([await run(), sent.length, await listed()]).toEqual(["listed", 1, "True"]);
    expect([await run(), sent.length]).toEqual(["listed", 1]);
    expect(parseListing(sent[0]?.body)).toMatchObject({ partnerId, tenantId, list: "one", address: "203.0.113.7" });
    expect(sent[0]?.messageId).toBe("delisting-one-203.0.113.7-20300101t000100z");

    await changeList(clouds, "one", { unlist: ["203.0.113.7"] });
    expect([await run(), await run(), await listed()]).toEqual(["clearing", "clearing", "True"]);
    expect([await run(), await listed(), sent.length]).toEqual(["clean", "False", 1]);
    const events = (await stores.events.list(partnerId, {}, 10)).items;
    expect(events.map(({ type, subject }) => [type, subject])).toEqual([
      ["address.cleared", "203.0.113.7"],
      ["address.listed", "203.0.113.7"],
    ]);
  });

  test("a second sighting too soon after the first one does not count", async () => {
    await changeList(clouds, "soon", { list: ["203.0.113.7"] });
    const clock = clockAt(0);
    const { world, sent } = await listingTest(clouds, clock, [testZone("soon")], ["203.0.113.7"]);
    for (const _ of [1, 2, 3]) await pollBlocklists(world);
    expect(sent).toEqual([]);
    clock.pass(1);
    await pollBlocklists(world);
    expect(sent).toHaveLength(1);
  });

  test("a run that dies after its message tells the same again, under the same id", async () => {
    await changeList(clouds, "dying", { list: ["203.0.113.7"] });
    const clock = clockAt(0);
    const { world, sent, partnerId } = await listingTest(clouds, clock, [testZone("dying")], ["203.0.113.7"]);
    await pollBlocklists(world);
    clock.pass(1);
    const change = () => Promise.reject(new Error("killed"));
    const dying = { ...world, stores: { ...world.stores, listings: { ...world.stores.listings, change } } };
    await expect(pollBlocklists(dying)).rejects.toThrow("killed");
    clock.pass(1);
    await pollBlocklists(world);
    expect(new Set(sent.map(({ messageId }) => messageId)).size).toBe(1);
    expect((await world.stores.events.list(partnerId, {}, 10)).items).toHaveLength(1);
  });

  test("a listing without a case is told again after a while", async () => {
    await changeList(clouds, "lost", { list: ["203.0.113.7"] });
    const clock = clockAt(0);
    const { world, sent } = await listingTest(clouds, clock, [testZone("lost")], ["203.0.113.7"]);
    for (const _ of Array(20)) {
      await pollBlocklists(world);
      clock.pass(1);
    }
    expect(new Set(sent.map(({ messageId }) => messageId)).size).toBe(1);
    expect(sent.length).toBeGreaterThan(1);
  });

  test("a list that is for information only opens no case and sets no condition", async () => {
    await changeList(clouds, "info", { list: ["203.0.113.7"] });
    const clock = clockAt(0);
    const zones = [testZone("info", { weight: "informational" })];
    const { world, sent, partnerId, tenantId } = await listingTest(clouds, clock, zones, ["203.0.113.7"]);
    await pollBlocklists(world);
    clock.pass(1);
    await pollBlocklists(world);
    expect((await world.stores.listings.of(partnerId))[0]?.sightings.info?.state).toBe("listed");
    expect(sent).toEqual([]);
    const { conditions } = await world.stores.tenants.get(partnerId, tenantId);
    expect(conditions.find(({ type }) => type === "Listed")?.status).toBe("False");
  });

  test("a code that nobody mapped is shown and alarms nobody, until the list says something else", async () => {
    await changeList(clouds, "unmapped", { list: [{ address: "203.0.113.7", codes: ["127.0.0.1"] }] });
    const clock = clockAt(0);
    const { world, sent, partnerId, tenantId } = await listingTest(clouds, clock, [testZone("unmapped")], ["203.0.113.7"]);
    const run = async () => {
      await pollBlocklists(world);
      clock.pass(1);
      return (await world.stores.listings.of(partnerId))[0]?.sightings.unmapped;
    };
    expect(await run()).toMatchObject({ state: "unmapped", codes: ["127.0.0.1"] });
    expect(await run()).toMatchObject({ state: "unmapped", since: "2030-01-01T00:00:00.000Z" });
    expect((await world.stores.tenants.get(partnerId, tenantId)).conditions.map(({ type }) => type)).not.toContain("Listed");
    expect([sent, (await world.stores.events.list(partnerId, {}, 10)).items]).toEqual([[], []]);
    await changeList(clouds, "unmapped", { list: ["203.0.113.7"] });
    expect(await run()).toMatchObject({ state: "suspected", codes: ["127.0.0.2"] });
    await changeList(clouds, "unmapped", { unlist: ["203.0.113.7"] });
    expect(await run()).toBeUndefined();
  });

  test("an address that is no gateway's any more is forgotten", async () => {
    await changeList(clouds, "gone", { list: ["203.0.113.7"] });
    const clock = clockAt(0);
    const { world, partnerId } = await listingTest(clouds, clock, [testZone("gone")], ["203.0.113.7"]);
    await pollBlocklists(world);
    expect(await world.stores.listings.of(partnerId)).toHaveLength(1);
    await pollBlocklists({ ...world, addresses: () => Promise.resolve([]) });
    expect(await world.stores.listings.of(partnerId)).toEqual([]);
  });
});

describe.each([
  ["127.255.255.254", "refused"],
  ["everything", "listsEverything"],
  ["nothing", "listsNothing"],
  ["silent", "unreachable"],
  ["servfail", "unreachable"],
])("a list that answers %s", (behaviour, health) => {
  const id = `liar-${behaviour.replaceAll(".", "-")}`;

  test("opens no case and is reported blind; what was known before stays", async () => {
    await changeList(clouds, id, { behaviour: "honest", list: ["203.0.113.7"] });
    const clock = clockAt(0);
    const { world, sent, logged, partnerId } = await listingTest(clouds, clock, [testZone(id)], ["203.0.113.7", "203.0.113.8"]);
    const run = async () => {
      await pollBlocklists(world);
      clock.pass(1);
    };
    await run();
    const before = await world.stores.listings.of(partnerId);
    await changeList(clouds, id, { behaviour });
    for (const _ of Array(8)) await run();
    expect(sent).toEqual([]);
    expect(await world.stores.listings.of(partnerId)).toEqual(before);
    expect((await world.stores.listings.healths()).find(({ list }) => list === id)?.health).toBe(health);
    expect(logged.filter((line) => line.includes("blind"))).toHaveLength(1);
    await changeList(clouds, id, { behaviour: "honest" });
    // It was asked in the 1st minute, 1 later and 5 later, and rests for a quarter of an hour.
    await run();
    expect((await world.stores.listings.healths()).find(({ list }) => list === id)?.health).toBe(health);
    clock.pass(15);
    await run();
    expect((await world.stores.listings.healths()).find(({ list }) => list === id)).toMatchObject({ list: id, health: "ok" });
    expect(sent).toHaveLength(1);
  });
});

test("a list that suddenly has a great part of the fleet is suspicious, however well it answers its test entries", async () => {
  const addresses = Array.from({ length: 20 }, (_, index) => `203.0.113.${index + 1}`);
  await changeList(clouds, "closing", { list: addresses });
  const clock = clockAt(0);
  const { world, sent, partnerId } = await listingTest(clouds, clock, [testZone("closing")], addresses);
  for (const _ of [1, 2, 3]) {
    await pollBlocklists(world);
    clock.pass(1);
  }
  expect([sent, await world.stores.listings.of(partnerId)]).toEqual([[], []]);
  expect((await world.stores.listings.healths()).find(({ list }) => list === "closing")?.health).toBe("suspicious");
});

test("a closing list whose test entries are right is known by an address that is nobody's", async () => {
  const addresses = Array.from({ length: 20 }, (_, index) => `203.0.113.${index + 1}`);
  await changeList(clouds, "wide", { list: [...addresses, "198.18.0.1"] });
  const { world, sent, partnerId } = await listingTest(clouds, clockAt(0), [testZone("wide")], addresses);
  await pollBlocklists(world);
  expect([sent, await world.stores.listings.of(partnerId)]).toEqual([[], []]);
  expect((await world.stores.listings.healths()).find(({ list }) => list === "wide")?.health).toBe("listsEverything");
});

test("a list that is blind for six hours is an alarm, once, until it has been believed again", async () => {
  await changeList(clouds, "long", { behaviour: "refused" });
  const clock = clockAt(0);
  const { world, logged } = await listingTest(clouds, clock, [testZone("long")], ["203.0.113.7"]);
  const alarms = () => logged.filter((line) => line.includes("blind for hours")).length;
  const hours = async (count: number) => {
    for (let quarter = 0; quarter < 4 * count; quarter += 1) {
      await pollBlocklists(world);
      clock.pass(15);
    }
    return alarms();
  };
  expect(await hours(5)).toBe(0);
  await changeList(clouds, "long", { behaviour: "everything" });
  expect([await hours(3), await hours(2)]).toEqual([1, 1]);
  await changeList(clouds, "long", { behaviour: "honest" });
  await hours(2);
  await changeList(clouds, "long", { behaviour: "refused" });
  expect(await hours(7)).toBe(2);
});

test("a row that was written before there was more to say is read, cleared and gone", async () => {
  await changeList(clouds, "older", {});
  const clock = clockAt(0);
  const { world, partnerId, tenantId } = await listingTest(clouds, clock, [testZone("older")], ["203.0.113.7"]);
  const since = new Date(start - 60 * MINUTE).toISOString();
  await world.stores.listings.change({ partnerId, tenantId, address: "203.0.113.7" }, () => ({
    sightings: { older: { state: "listed", codes: ["127.0.0.2"], since } },
    past: {},
  }));
  for (const _ of [1, 2, 3]) {
    await pollBlocklists(world);
    clock.pass(1);
  }
  const [record] = await world.stores.listings.of(partnerId);
  expect(record).toMatchObject({ sightings: {}, past: { older: { clearedAt: "2030-01-01T00:02:00.000Z" } } });
  clock.pass(7 * 24 * 60);
  await pollBlocklists(world);
  expect(await world.stores.listings.of(partnerId)).toEqual([]);
});
