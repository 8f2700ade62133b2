/** A listing is found on the second sighting and told once; a list that can't be believed finds nothing and is reported blind. */
import * as fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { due } from "../../functions/blocklists/due.ts";
import { pollBlocklists } from "../../functions/blocklists/poll.ts";
import { see } from "../../functions/blocklists/sightings.ts";
import type { Verdict } from "../../shared/dns/blocklists.ts";
import { parseListing } from "../../shared/messages/listing.ts";
import type { Sighting } from "../../shared/stores/listings.ts";
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
    for (const _ of [1, 2, 3, 4]) await run();
    expect(sent).toEqual([]);
    expect(await world.stores.listings.of(partnerId)).toEqual(before);
    expect((await world.stores.listings.healths()).find(({ list }) => list === id)?.health).toBe(health);
    expect(logged.filter((line) => line.includes("blind"))).toHaveLength(1);
    await changeList(clouds, id, { behaviour: "honest" });
    await run();
    expect((await world.stores.listings.healths()).find(({ list }) => list === id)?.health).toBe("ok");
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

describe("sightings", () => {
  const verdict = fc.oneof(
    fc.constant<Verdict>({ state: "listed", codes: ["127.0.0.2"] }),
    fc.constant<Verdict>({ state: "clean" }),
    fc.constant<Verdict>({ state: "unknown", reason: "refused" }),
  );

  test("unknown answers make no difference, wherever they come", () => {
    fc.assert(
      fc.property(fc.array(verdict), (verdicts) => {
        const play = (skipped: boolean) => {
          let known: Sighting | undefined;
          const turns: string[] = [];
          for (const [index, one] of verdicts.entries()) {
            if (skipped && one.state === "unknown") continue;
            const { sighting, turn } = see(known, one, start + index * MINUTE, 60);
            known = sighting;
            if (turn) turns.push(`${turn} ${index}`);
          }
          return { known, turns };
        };
        expect(play(false)).toEqual(play(true));
      }),
    );
  });

  test("confirmed and cleared alternate, and each needs its answers in a row", () => {
    fc.assert(
      fc.property(fc.array(fc.boolean(), { maxLength: 40 }), (answers) => {
        let known: Sighting | undefined;
        let [listedInARow, cleanInARow, expected] = [0, 0, "confirmed"];
        for (const [index, listed] of answers.entries()) {
          listedInARow = listed ? listedInARow + 1 : 0;
          cleanInARow = listed ? 0 : cleanInARow + 1;
          const answer: Verdict = listed ? { state: "listed", codes: [] } : { state: "clean" };
          const { sighting, turn } = see(known, answer, start + index * MINUTE, 60);
          known = sighting;
          if (!turn) continue;
          expect(turn).toBe(expected);
          expect(turn === "confirmed" ? listedInARow : cleanInARow).toBe(turn === "confirmed" ? 2 : 3);
          expected = turn === "confirmed" ? "cleared" : "confirmed";
        }
      }),
    );
  });
});

test("every address is due once an interval, whenever the runs are, and the fleet is spread over it", () => {
  const pace = { confirmAfterInSeconds: 60, pollEveryInSeconds: 3600 };
  const addresses = Array.from({ length: 1000 }, (_, index) => `198.51.${index >> 8}.${index & 255}`);
  const asked = new Map<string, number>();
  let most = 0;
  let last = start;
  // A run is missed now and then.
  for (let minute = 1; minute <= 60; minute += minute % 7 === 0 ? 2 : 1) {
    const now = start + minute * MINUTE;
    const these = addresses.filter((address) => due(address, undefined, last, now, pace));
    for (const address of these) asked.set(address, (asked.get(address) ?? 0) + 1);
    most = Math.max(most, these.length);
    last = now;
  }
  expect([...asked.values()].filter((times) => times !== 1)).toEqual([]);
  expect(asked.size).toBe(1000);
  expect(most).toBeLessThan(100);
});
