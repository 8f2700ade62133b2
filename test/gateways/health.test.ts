/** What power and availability mean, and when a change is worth saying. */
import { expect, test } from "vitest";
import { changeOf, conditionOf, judge } from "../../functions/gateways/health.ts";
import type { GatewayRecord } from "../../shared/stores/gateways.ts";

test.each([
  ["running", "Available", "healthy", "Running"],
  ["running", "Degraded", "healthy", "Degraded"],
  ["running", "Unknown", "healthy", "Running"],
  ["running", undefined, "healthy", "Running"],
  ["running", "Unavailable", "unavailable", "PlatformUnavailable"],
  ["stopped", "Unavailable", "stopped", "Stopped"],
  ["deallocated", "Unavailable", "stopped", "Deallocated"],
  ["deallocating", "Available", "stopped", "Deallocated"],
  ["starting", "Unknown", "stopped", "Starting"],
  ["unknown", "Available", "unknown", "PowerStateMissing"],
])("power %s and availability %s is %s", (power, availability, health, reason) => {
  expect(judge({ power: `PowerState/${power}`, availability })).toMatchObject({ health, reason });
});

test("what nobody saw is unknown, and so is a machine without a power state", () => {
  expect(judge(undefined)).toEqual({ health: "unknown", reason: "NotInAnswer" });
  expect(judge({ power: undefined, availability: "Available" })).toMatchObject({
    health: "unknown",
    reason: "PowerStateMissing",
  });
});

const since = "2026-11-22T08:00:00.000Z";
const gateway = (more: Partial<GatewayRecord> = {}): GatewayRecord => ({
  partnerId: "northwind",
  tenantId: "contoso",
  id: "contoso-gateway-1",
  virtualMachineId: "/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/virtualMachines/gateway-1",
  entraTenantId: "c0ffee00-0000-4000-8000-000000000001",
  subscriptionId: "s",
  address: "203.0.113.10",
  fqdn: "contoso.westeurope.cloudapp.azure.example",
  region: "westeurope",
  state: { health: "healthy", power: "PowerState/running", reason: "Running", since },
  misses: 0,
  owed: [],
  updatedAt: since,
  ...more,
});

test("a change of detail is recorded and not told; a change of health is owed as an event", () => {
  const at = "2026-11-22T09:00:00.000Z";
  const degraded = judge({ power: "PowerState/running", availability: "Degraded" });
  expect(changeOf(gateway(), { found: "judged", judgement: degraded }, at, () => "1")).toEqual({
    state: { ...degraded, since },
    misses: 0,
    owed: [],
  });
  const stopped = judge({ power: "PowerState/stopped", availability: undefined });
  const before = gateway().state;
  expect(changeOf(gateway(), { found: "judged", judgement: stopped }, at, () => "1")).toEqual({
    state: { ...stopped, since: at },
    misses: 0,
    owed: [{ id: "1", at, before, after: { ...stopped, since: at } }],
  });
});

test("a tenant is as well as the worst of its gateways", () => {
  const second = gateway({ id: "contoso-gateway-2", state: { health: "stopped", reason: "Stopped", since } });
  expect(conditionOf([gateway(), second])).toMatchObject({
    status: "False",
    message: expect.stringContaining("contoso-gateway-2"),
  });
  expect(conditionOf([gateway()])).toMatchObject({ status: "True" });
  expect(conditionOf([])).toBeUndefined();
});
