/** Lists that fail in all of their ways say nothing of an address; test/faults plays the same with ten thousand addresses. */
import { afterEach, expect, test } from "vitest";
import { type Chaos, playChaos, startChaos } from "../support/blocklist-chaos.ts";
import type { Behaviour } from "../support/fault-dns.ts";

const small = { addresses: 200, seed: 8, latencyInMilliseconds: 0, timeoutInSeconds: 0.1, cycleInMinutes: 1 };

let chaos: Chaos | undefined;
afterEach(() => chaos?.stop());

test("eight of ten lists go bad and come back: nothing wrong is said of any address", async () => {
  const { wrongListed, wrongClean, cases } = await playChaos(small);
  expect({ wrongListed, wrongClean }).toEqual({ wrongListed: [], wrongClean: [] });
  expect(cases).toBeGreaterThan(20);
});

test("a list that turns bad in the middle of a batch changes nothing, whatever it turns into", async () => {
  chaos = await startChaos({ ...small, addresses: 60, cycleInMinutes: 1 });
  const { dns, pass, known, behave, change, addresses } = chaos;
  // Some that it has and that it comes to after it has turned.
  for (let index = 0; index < 7; index += 1) for (const address of addresses.slice(-3)) change(`bad${index}`, address, true);
  await pass(3);
  const before = await known();
  expect(before.length).toBeGreaterThan(5);
  // So late that few addresses are left, and the guard against lists that have everybody would not see it.
  const kinds: Behaviour[] = ["everything", "127.255.255.255", "servfail", "refused", "parked", "nothing", "127.255.255.254"];
  for (const [index, into] of kinds.entries()) {
    const zone = dns.zones.get(`bad${index}.lists.example`);
    if (zone) zone.turns = { after: (dns.asked.get(`bad${index}.lists.example`) ?? 0) + 3 + 56, into };
  }
  await pass(1);
  expect([...dns.zones.values()].map(({ behaviour }) => behaviour).slice(0, 7)).toEqual(kinds);
  expect(await known()).toEqual(before);
  // They have come back before they are asked again, and mean it.
  for (let index = 0; index < kinds.length; index += 1) behave(`bad${index}`, "honest");
  await pass(4);
  expect(await known()).toEqual(before);
});

test("of one list at most eight questions wait at once, of all at most 96", async () => {
  chaos = await startChaos({ ...small, latencyInMilliseconds: 5, cycleInMinutes: 1 });
  await chaos.pass(1);
  expect(chaos.dns.most.ofOne).toBeLessThanOrEqual(8);
  expect(chaos.dns.most.ofAll).toBeLessThanOrEqual(96);
  expect(chaos.dns.most.ofAll).toBeGreaterThan(8);
});
