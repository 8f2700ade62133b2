/** The fleet's packed rows: idempotent registration, change-only writes, no lost update, paging within and across rows. */
import { expect, test } from "vitest";
import { type Decide, GATEWAYS_A_ROW, type GatewayRegistration } from "../../shared/stores/gateways.ts";
import { testStores, unique } from "../support/stores.ts";

const { gateways } = testStores();

const registration = (partnerId: string, tenantId: string): GatewayRegistration => ({
  partnerId,
  tenantId,
  virtualMachineId: `/subscriptions/s/resourceGroups/${tenantId}/providers/Microsoft.Compute/virtualMachines/gateway-1`,
  entraTenantId: "c0ffee00-0000-4000-8000-000000000001",
  subscriptionId: "c0ffee00-0000-4000-8000-0000000000a1",
  address: "203.0.113.10",
  fqdn: `${tenantId}.westeurope.cloudapp.azure.example`,
  region: "westeurope",
  state: { health: "healthy", reason: "LoopProven" },
});
const rowsOf = async (partnerId: string) => (await gateways.fleet()).filter((row) => row.partnerId === partnerId);

test("registering twice is registering once, and keeps the state that was found meanwhile", async () => {
  const partnerId = unique("partner");
  const first = await gateways.put(registration(partnerId, "contoso"));
  expect(first).toMatchObject({ created: true, gateway: { id: "contoso-gateway-1", state: { health: "healthy" } } });
  const [row] = await rowsOf(partnerId);
  if (!row) throw new Error("no row");
  const stopped = { health: "stopped" as const, reason: "Deallocated", since: "2026-11-22T10:00:00.000Z" };
  await gateways.recordStates([row], () => ({ state: stopped, misses: 0, owed: [] }));
  const [changed] = await rowsOf(partnerId);

  const shouted = registration(partnerId, "contoso");
  const again = await gateways.put({ ...shouted, virtualMachineId: shouted.virtualMachineId.toUpperCase() });
  expect(again).toMatchObject({ created: false, gateway: { id: "contoso-gateway-1", state: stopped } });
  expect((await rowsOf(partnerId))[0]?.etag).toBe(changed?.etag);

  const moved = await gateways.put({ ...shouted, address: "203.0.113.99" });
  expect(moved).toMatchObject({ created: false, gateway: { address: "203.0.113.99", state: stopped } });
});

test("gateways that are registered at the same time are all there, once", async () => {
  const partnerId = unique("partner");
  const names = ["alpha", "bravo", "charlie"];
  await Promise.all([...names, ...names].map((name) => gateways.put(registration(partnerId, name))));
  const { items } = await gateways.listOf(partnerId, 50);
  expect(items.map(({ tenantId }) => tenantId).toSorted()).toEqual(names);
});

test("what changes nothing writes nothing; a write in between is seen and not lost", async () => {
  const partnerId = unique("partner");
  await gateways.put(registration(partnerId, "contoso"));
  const [row] = await rowsOf(partnerId);
  if (!row) throw new Error("no row");
  expect(await gateways.recordStates([row], () => undefined)).toEqual([row]);

  await gateways.put(registration(partnerId, "fabrikam"));
  const [written] = await gateways.recordStates([row], ({ state, owed }) => ({ state, owed, misses: 1 }));
  expect(written?.gateways.map(({ tenantId, misses }) => `${tenantId} ${misses}`)).toEqual(["contoso 1", "fabrikam 1"]);
});

test("a partner's list is paged within and across packed rows, and others' gateways are not in it", async () => {
  const partnerId = unique("partner");
  const count = GATEWAYS_A_ROW + 3;
  for (let index = 0; index < count; index += 1)
    await gateways.put(registration(partnerId, `customer-${String(index).padStart(3, "0")}`));
  expect((await rowsOf(partnerId)).map((row) => row.gateways.length)).toEqual([GATEWAYS_A_ROW, 3]);

  const seen: string[] = [];
  let after: string | undefined;
  do {
    const page = await gateways.listOf(partnerId, 90, after);
    expect(page.items.length).toBeLessThanOrEqual(90);
    seen.push(...page.items.map(({ tenantId }) => tenantId));
    after = page.next;
  } while (after !== undefined);
  expect(seen).toHaveLength(count);
  expect(new Set(seen).size).toBe(count);

  // What changes in both rows is one write that knows their new versions; a rival in one of them loses neither.
  const miss: Decide = ({ state, owed, misses }) => ({ state, owed, misses: misses + 1 });
  const [first, second] = await gateways.recordStates(await rowsOf(partnerId), miss);
  if (!first || !second) throw new Error("no rows");
  expect(await rowsOf(partnerId)).toEqual([first, second]);
  await gateways.recordStates([second], miss);
  const contested = await gateways.recordStates([first, second], miss);
  expect(contested.map((row) => [...new Set(row.gateways.map(({ misses }) => misses))])).toEqual([[2], [3]]);
  expect(await rowsOf(partnerId)).toEqual(contested);

  expect(await gateways.listOf(unique("partner"), 50)).toEqual({ items: [] });
  await expect(gateways.get(unique("partner"), "customer-000-gateway-1")).rejects.toMatchObject({ code: "GatewayNotFound" });
});

test("a gateway that is removed is gone, and its place is used again", async () => {
  const partnerId = unique("partner");
  await gateways.put(registration(partnerId, "contoso"));
  expect(await gateways.remove(partnerId, "contoso-gateway-1")).toBe(true);
  expect(await gateways.remove(partnerId, "contoso-gateway-1")).toBe(false);
  expect(await gateways.find(partnerId, "contoso-gateway-1")).toBeUndefined();
  await gateways.put(registration(partnerId, "fabrikam"));
  expect(await rowsOf(partnerId)).toHaveLength(1);
});
