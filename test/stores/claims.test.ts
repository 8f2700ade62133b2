/** Claims on Azurite: the first one holds, the same one again is no conflict, only one's own is given up. */
import { expect, test } from "vitest";
import { testStores, unique } from "../support/stores.ts";

const { claims } = testStores();
const northwind = { partnerId: "northwind", tenantId: "contoso" };
const adatum = { partnerId: "adatum", tenantId: "contoso" };

test("the first claimant holds, whatever the id's case, and claiming again changes nothing", async () => {
  const id = unique("ABC");
  expect(await claims.claim("organization", id, northwind)).toBe(true);
  expect(await claims.claim("organization", id.toLowerCase(), northwind)).toBe(true);
  expect(await claims.claim("organization", id, adatum)).toBe(false);
  expect(await claims.claim("subscription", id, adatum)).toBe(true);
  expect(await claims.holder("organization", id)).toEqual(northwind);
});

test("of many at once exactly one holds", async () => {
  const id = unique("org");
  const claimants = Array.from({ length: 8 }, (_, index) => ({ partnerId: `partner${index}`, tenantId: "contoso" }));
  const held = await Promise.all(claimants.map((claimant) => claims.claim("organization", id, claimant)));
  expect(held.filter(Boolean)).toHaveLength(1);
});

test("a claim is given up by its holder only", async () => {
  const id = unique("org");
  await claims.claim("organization", id, northwind);
  await claims.release("organization", id, adatum);
  expect(await claims.holder("organization", id)).toEqual(northwind);
  await claims.release("organization", id, northwind);
  expect(await claims.claim("organization", id, adatum)).toBe(true);
});
