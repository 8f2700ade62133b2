/** The policy's timer against a real Azurite: what is refused is said once and counts for nothing, and what was forgotten is gone. */
import { randomUUID } from "node:crypto";
import type { DurableClient } from "durable-functions";
import { beforeEach, expect, test } from "vitest";
import { watchOutages } from "../../functions/mail-flow/outages.ts";
import type { MailFlowDoors } from "../../functions/mail-flow/world.ts";
import type { GatewayState } from "../../shared/api/gateway.ts";
import { createLog } from "../../shared/log.ts";
import { createAuditStore } from "../../shared/stores/audit.ts";
import { createEventStore } from "../../shared/stores/events.ts";
import { createGatewayStore } from "../../shared/stores/gateways.ts";
import { createOperationStore } from "../../shared/stores/operations.ts";
import { createOutageStore } from "../../shared/stores/outages.ts";
import { createTaskStore } from "../../shared/stores/tasks.ts";
import { createTenantStore } from "../../shared/stores/tenants.ts";
import { customer } from "../support/onboarding.ts";
import { ownStorage } from "../support/own-storage.ts";

const partnerId = "northwind";
const tenantId = "contoso";
const MINUTE = 60_000;
const clock = { time: 0, now: () => clock.time };
/** Nothing begins in these tests, so nobody is asked to begin it. */
const client = {} as DurableClient;

let stores: Pick<MailFlowDoors["stores"], "audit" | "events" | "gateways" | "operations" | "outages" | "tasks" | "tenants">;
let look: () => Promise<void>;
beforeEach(async () => {
  clock.time = Date.UTC(2026, 10, 22, 8);
  const storage = ownStorage();
  const events = createEventStore(storage);
  stores = {
    audit: createAuditStore(storage, clock),
    events,
    gateways: createGatewayStore(storage, clock),
    operations: createOperationStore(storage, clock),
    outages: createOutageStore(storage),
    tasks: createTaskStore(storage, clock, events),
    tenants: createTenantStore(storage, clock),
  };
  const world = { stores, clock, log: createLog("error", () => undefined) } as unknown as MailFlowDoors;
  const fire = watchOutages(world, client);
  look = () => fire({ pastDue: false });
  const { spec } = customer("contoso", "contoso", {}, { outage: { mailFlow: "failOpen" } });
  await stores.tenants.add(partnerId, tenantId, spec);
  await stores.tenants.change(partnerId, tenantId, () => ({ stage: "live" }));
  await stores.gateways.put({
    partnerId,
    tenantId,
    virtualMachineId: `/subscriptions/s/resourceGroups/contoso/providers/Microsoft.Compute/virtualMachines/gateway-1`,
    entraTenantId: randomUUID(),
    subscriptionId: randomUUID(),
    address: "203.0.113.10",
    fqdn: "contoso.westeurope.cloudapp.azure.example",
    region: "westeurope",
    state: { health: "stopped", reason: "Deallocated" },
  });
});

const refusals = async () =>
  (await stores.events.list(partnerId, {}, 50)).items
    .filter(({ type }) => type === "tenant.mailflow.policy.refused")
    .map(({ data }) => data["code"]);
async function become(health: GatewayState["health"]): Promise<void> {
  const since = new Date(clock.time).toISOString();
  for (const row of await stores.gateways.fleet())
    await stores.gateways.recordStates([row], ({ misses, owed }) => ({ state: { health, reason: health, since }, misses, owed }));
}

test("what is refused is said once for each reason, tried again each half hour, and is no bypass", async () => {
  for (let minutes = 0; minutes <= 120; minutes += 5) {
    await look();
    clock.time += 5 * MINUTE;
  }
  // Nothing stands behind this tenant that could be gone round.
  expect(await refusals()).toEqual(["NothingToBypass"]);
  const [outage] = await stores.outages.all();
  expect(outage).toMatchObject({ bypasses: [], tried: { to: "bypass", refused: "bypass NothingToBypass" } });
  const audited = (await stores.audit.list({ partnerId, tenantId }, {}, 50)).items;
  const tries = new Set(audited.map(({ operationId }) => operationId)).size;
  expect(tries).toBe(4);
});

test("who has been well for a day, and who has no gateway any more, is forgotten", async () => {
  clock.time += 30 * MINUTE;
  await look();
  expect(await stores.outages.all()).toHaveLength(1);
  await become("healthy");
  clock.time += 23 * 60 * MINUTE;
  await look();
  expect(await stores.outages.all()).toHaveLength(1);
  clock.time += 60 * MINUTE;
  await look();
  expect(await stores.outages.all()).toEqual([]);

  await become("stopped");
  clock.time += 30 * MINUTE;
  await look();
  expect(await stores.outages.all()).toHaveLength(1);
  await stores.gateways.remove(partnerId, `${tenantId}-gateway-1`);
  await look();
  expect(await stores.outages.all()).toEqual([]);
});
