/** The sweep over the fleet against the simulated Azure over HTTPS and a real Azurite: what it asks, what it writes, what it says. */
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { nextFindings } from "../../functions/gateways/report.ts";
import { pollGateways } from "../../functions/gateways/timer.ts";
import { sweepFleet, type SweepWorld } from "../../functions/gateways/sweep.ts";
import { createAzure } from "../../shared/azure/client.ts";
import { createFleet, type Fleet, type Which } from "../../shared/azure/fleet.ts";
import { createCredentials } from "../../shared/entra/credentials.ts";
import { createLog } from "../../shared/log.ts";
import { createEventStore } from "../../shared/stores/events.ts";
import type { HeartbeatInput, Level } from "../../shared/api/heartbeat.ts";
import { gatewayIdOf } from "../../shared/api/gateway-id.ts";
import { createGatewayStore, GATEWAYS_A_ROW, type GatewayRecord } from "../../shared/stores/gateways.ts";
import { createHeartbeatStore } from "../../shared/stores/heartbeats.ts";
import { createTable, packed } from "../../shared/stores/table.ts";
import { createTenantStore } from "../../shared/stores/tenants.ts";
import { present } from "../../shared/resources/resource.ts";
import type { TenantSpec } from "../../shared/tenants/spec.ts";
import { type TestClouds, startClouds } from "../support/clouds.ts";
import { machineId, placeMachines } from "../support/fleet.ts";
import { type OwnStorage, ownStorage } from "../support/own-storage.ts";

const partnerId = "northwind";
const start = Date.UTC(2026, 10, 22, 8);
const clock = { time: start, now: () => clock.time };

let clouds: TestClouds;
let fleet: Fleet;
beforeAll(async () => {
  clouds = await startClouds();
  const credentials = createCredentials(clouds.environment, clouds.application);
  const azure = createAzure({ environment: clouds.environment, credentials });
  fleet = createFleet({ environment: clouds.environment, credentials, azure });
});
afterAll(() => clouds.stop());

let storage: OwnStorage;
let world: SweepWorld;
let logged: string[];
beforeEach(() => {
  storage = ownStorage();
  logged = [];
  clock.time = start;
  world = {
    stores: {
      gateways: createGatewayStore(storage, clock),
      events: createEventStore(storage),
      heartbeats: createHeartbeatStore(storage, clock),
      tenants: createTenantStore(storage, clock),
    },
    fleet,
    heartbeatEveryInSeconds: 600,
    clock,
    log: createLog("debug", (_level, line) => logged.push(line)),
  };
});

/** A customer's Azure with running machines, all of them registered as gateways of the same partner. */
async function customers(count: number): Promise<{ entraTenantId: string; subscriptionId: string; machines: string[] }> {
  const [entraTenantId, subscriptionId] = [randomUUID(), randomUUID()];
  await clouds.organize({ tenantId: entraTenantId, domains: [], subscriptionId });
  placeMachines(clouds.platform, { subscriptionId, count, partnerId });
  const machines = Array.from({ length: count }, (_, index) => machineId(subscriptionId, index));
  const at = new Date(start).toISOString();
  const records = machines.map((virtualMachineId, index): GatewayRecord => {
    const tenantId = `customer-${index}`;
    return {
      partnerId,
      tenantId,
      virtualMachineId,
      entraTenantId,
      subscriptionId,
      address: "203.0.113.10",
      fqdn: `${tenantId}.westeurope.cloudapp.azure.example`,
      region: "westeurope",
      id: gatewayIdOf(tenantId, virtualMachineId),
      state: { health: "healthy", power: "PowerState/running", availability: "Available", reason: "Running", since: at },
      misses: 0,
      owed: [],
      updatedAt: at,
    };
  });
  const known = (await world.stores.gateways.fleet()).length;
  const table = createTable(storage, "gateways");
  for (let from = 0; from < count; from += GATEWAYS_A_ROW)
    await table.create({
      partitionKey: partnerId,
      rowKey: `g_${String(known + from / GATEWAYS_A_ROW).padStart(4, "0")}`,
      ...packed("gateways", records.slice(from, from + GATEWAYS_A_ROW)),
    });
  return { entraTenantId, subscriptionId, machines };
}

const register = (tenantId = "customer-0") =>
  world.stores.tenants.add(partnerId, tenantId, { displayName: tenantId } as TenantSpec);
const act = async (virtualMachineId: string, action: string) => {
  const response = await fetch(`${clouds.control}/machines`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ virtualMachineId, action }),
  });
  expect(response.status).toBe(200);
};
const sweep = (which: Which = "everything") => {
  clock.time += 300_000;
  return sweepFleet(world, which);
};
const condition = async (tenantId = "customer-0") =>
  (await world.stores.tenants.get(partnerId, tenantId)).conditions.find(({ type }) => type === "GatewayHealthy");
const events = async () => (await world.stores.events.list(partnerId, {}, 50)).items;
const state = async (id = "customer-0-gateway-1") => (await world.stores.gateways.get(partnerId, id)).state;
/** Requests to ARM since the last call, by what they ask. */
const asked = async () => {
  const requests = await clouds.requests("arm", lastSeen);
  lastSeen = requests.at(-1)?.seq ?? lastSeen;
  const graph = requests.filter(({ url }) => url.includes("Microsoft.ResourceGraph"));
  return { graph: graph.length, others: requests.length - graph.length };
};
let lastSeen = 0;

test("2,500 gateways are three requests and two reads, and nothing is written when nothing changed", async () => {
  const { machines } = await customers(2500);
  await asked();
  storage.counts();
  expect(await sweep()).toEqual({ gateways: 2500, failed: 0, suspicious: 0, told: 0 });
  expect(await asked()).toEqual({ graph: 3, others: 0 });
  expect(storage.counts()).toEqual({ reads: 2, writes: 0 });
  expect(await sweep("exceptions")).toMatchObject({ gateways: 2500, told: 0 });
  expect(await asked()).toEqual({ graph: 1, others: 0 });
  expect(storage.counts()).toEqual({ reads: 2, writes: 0 });

  // One of them is stopped: one read of ARM about it; its row twice, its event and the event's month.
  await act(machines[1234] ?? "", "stop");
  storage.counts();
  expect(await sweep()).toMatchObject({ suspicious: 1, told: 1 });
  expect(await asked()).toEqual({ graph: 3, others: 1 });
  expect(storage.counts().writes).toBe(4);
  expect(logged.join()).toContain("a gateway's tenant is gone");
});

test("a gateway that is stopped, and started again, is one condition and one event each time", async () => {
  const { machines } = await customers(1);
  const [machine = ""] = machines;
  await register();
  await sweep();
  expect(await events()).toEqual([]);

  await act(machine, "stop");
  await sweep();
  expect(await condition()).toMatchObject({ status: "False", reason: "Deallocated" });
  const [stopped] = await events();
  expect(stopped).toMatchObject({
    type: "gateway.health.changed",
    tenantId: "customer-0",
    subject: "customer-0-gateway-1",
    data: { before: { health: "healthy" }, after: { health: "stopped", power: "PowerState/deallocated", reason: "Deallocated" } },
  });
  storage.counts();
  await sweep();
  await sweep();
  expect(storage.counts()).toEqual({ reads: 4, writes: 0 });
  expect(await events()).toEqual([stopped]);

  await act(machine, "start");
  await sweep();
  expect(await condition()).toMatchObject({ status: "True", reason: "Running" });
  expect((await events()).map(({ data }) => (data["after"] as { health: string }).health)).toEqual(["healthy", "stopped"]);
});

test("a sweep over the exceptions finds who stopped and who runs again; who is gone takes a whole one", async () => {
  const { machines } = await customers(3);
  await register();
  const [stopping = "", gone = ""] = machines;
  await sweep();
  await asked();
  await act(stopping, "stop");
  expect(await sweep("exceptions")).toMatchObject({ suspicious: 1, told: 1 });
  expect(await sweep("exceptions")).toMatchObject({ suspicious: 0, told: 0 });
  expect(await asked()).toEqual({ graph: 2, others: 1 });
  await act(stopping, "start");
  // That nobody calls it down any more is no word for it: it is looked at.
  expect(await sweep("exceptions")).toMatchObject({ suspicious: 1, told: 1 });
  expect(await state()).toMatchObject({ health: "healthy", reason: "Running" });

  clouds.platform.collection("arm.microsoft.compute/virtualmachines").delete(gone.toLowerCase());
  expect(await sweep("exceptions")).toMatchObject({ suspicious: 0, told: 0 });
  expect(await sweep()).toMatchObject({ suspicious: 1, told: 1 });
  for (const which of ["everything", "exceptions"] as const) {
    await sweep(which);
    expect(await state("customer-1-gateway-1")).toMatchObject({ health: "unknown", reason: "VirtualMachineMissing" });
  }
});

const beat: HeartbeatInput = {
  version: 1,
  sentAt: "2026-11-22T08:00:00Z",
  queue: { count: 0, oldestAgeInSeconds: null },
  badmail: { count: 0, oldestAgeInSeconds: null },
  services: [],
  certificate: null,
  probe: null,
  applied: { generation: 1, part: 1 },
  scanners: [],
};

/** The first customer's machine reports, and is swept. */
async function report(level: Level, about: "queue" | "badmail" = "queue"): Promise<void> {
  const levels = level === "information" ? {} : { [about]: level };
  const assessment = { levels, readingInSeconds: 600, judge: nextFindings };
  clock.time += 300_000;
  await world.stores.heartbeats.record(partnerId, "customer-0-gateway-1", beat, assessment);
  await sweep("exceptions");
}

async function reporting(): Promise<{ machine: string }> {
  const { machines, entraTenantId } = await customers(1);
  const [virtualMachineId = ""] = machines;
  const identity = { tenantId: "customer-0", virtualMachineId, entraTenantId, clientId: randomUUID() };
  await world.stores.heartbeats.register({ partnerId, gatewayId: "customer-0-gateway-1", ...identity });
  await register();
  return { machine: virtualMachineId };
}

test("a machine that runs fails when two reports agree that mail waits, and is well when three agree that none does", async () => {
  await reporting();
  const healths: string[] = [];
  for (const level of ["error", "information", "error", "error", "warning", "information", "error"] as const) {
    await report(level);
    healths.push((await state()).health);
  }
  expect(healths).toEqual(["healthy", "healthy", "healthy", "failing", "failing", "failing", "failing"]);
  expect(await state()).toMatchObject({ reason: "MailWaits", findings: [{ about: "queue", level: "error" }] });
  expect(await condition()).toMatchObject({ status: "False", reason: "MailWaits" });
  for (const health of ["failing", "failing", "healthy"]) {
    await report("information");
    expect((await state()).health).toBe(health);
  }
  expect((await state()).findings).toBeUndefined();
  expect(await condition()).toMatchObject({ status: "True" });
  expect(await events()).toHaveLength(2);
  for (const _ of [1, 2]) await report("error", "badmail");
  expect(await state()).toMatchObject({ health: "degraded", reason: "BadmailPilesUp" });
});

test("after three heartbeats that did not come a machine is looked at once, and is unknown or, if its agent is gone, down", async () => {
  const { machine } = await reporting();
  const answering = fleet.look;
  let looks = 0;
  let agent = "Ready";
  world = {
    ...world,
    fleet: {
      ...fleet,
      look: async (...which) => {
        looks += 1;
        const found = await answering(...which);
        return found.state === "present" ? present({ ...found.actual, agent }) : found;
      },
    },
  };
  await report("information");
  for (let minutes = 5; minutes < 30; minutes += 5) await sweep("exceptions");
  expect({ looks, ...(await state()) }).toMatchObject({ looks: 0, health: "healthy" });
  await sweep("exceptions");
  await sweep("exceptions");
  expect({ looks, ...(await state()) }).toMatchObject({ looks: 1, health: "unknown", reason: "Silent", agent: "Ready" });
  expect(await condition()).toMatchObject({ status: "Unknown", reason: "Silent" });
  agent = "Not Ready";
  await sweep();
  expect({ looks, ...(await state()) }).toMatchObject({ looks: 2, health: "unavailable", reason: "NotResponding" });
  // As long as it is silent nothing calls it well, whatever Azure says of its power.
  await act(machine, "stop");
  await sweep("exceptions");
  expect(await state()).toMatchObject({ health: "stopped" });
  await act(machine, "start");
  await sweep("exceptions");
  expect((await state()).health).toBe("unavailable");
  await report("information");
  expect(await state()).toMatchObject({ health: "healthy", reason: "Running" });
});

test("a machine that is silent while nobody can look at it is unknown, and not well", async () => {
  await reporting();
  await clouds.fault("arm", "5xx", { path: "/instanceView" });
  for (let minutes = 0; minutes <= 30; minutes += 5) await sweep("exceptions");
  expect(await state()).toMatchObject({ health: "unknown", reason: "Silent" });
});

test("an outage of the platform makes a gateway unavailable", async () => {
  const { machines } = await customers(1);
  await register();
  await act(machines[0] ?? "", "fail");
  await sweep();
  expect(await condition()).toMatchObject({ status: "False", reason: "PlatformUnavailable" });
  expect(await state()).toMatchObject({ health: "unavailable", power: "PowerState/running", availability: "Unavailable" });
});

test("what the machine itself denies is not said: Resource Graph may lag", async () => {
  const { machines } = await customers(1);
  await register();
  const stale = new Map(
    machines.map((id) => [id.toLowerCase(), { power: "PowerState/deallocated", availability: "Unavailable" }]),
  );
  world = { ...world, fleet: { ...fleet, list: () => Promise.resolve(stale) } };
  storage.counts();
  expect(await sweep()).toMatchObject({ suspicious: 1, told: 0 });
  expect(storage.counts().writes).toBe(0);
  expect(await events()).toEqual([]);
});

test("a suspicion that can't be looked into changes nothing", async () => {
  const { machines } = await customers(1);
  await act(machines[0] ?? "", "stop");
  await clouds.fault("arm", "5xx", { path: "/instanceView" });
  expect(await sweep()).toMatchObject({ suspicious: 1, told: 0 });
  expect(await state()).toMatchObject({ health: "healthy" });
  expect(await sweep()).toMatchObject({ suspicious: 1, told: 1 });
});

test("a machine that Resource Graph does not show is looked for, and unknown when it is gone", async () => {
  const { machines } = await customers(2);
  await register();
  const collection = clouds.platform.collection<{ body: object }>("arm.microsoft.compute/virtualmachines");
  const [gone = "", untagged = ""] = machines.map((id) => id.toLowerCase());
  const kept = collection.get(untagged);
  if (!kept) throw new Error("no machine");
  collection.set(untagged, { ...kept, body: { ...kept.body, tags: {} } });
  collection.delete(gone);
  expect(await sweep()).toMatchObject({ suspicious: 2, told: 1 });
  expect(await condition()).toMatchObject({ status: "Unknown", reason: "VirtualMachineMissing" });
  expect(await state("customer-1-gateway-1")).toMatchObject({ health: "healthy" });
});

test("after three sweeps that could not ask, a gateway is unknown, and never healthy; others are asked all the same", async () => {
  const first = await customers(1);
  await register();
  const second = [randomUUID(), randomUUID()] as const;
  await clouds.organize({ tenantId: second[0], domains: [], subscriptionId: second[1] });
  placeMachines(clouds.platform, { subscriptionId: second[1], count: 1, from: 7, partnerId });
  await world.stores.gateways.put({
    partnerId,
    tenantId: "customer-7",
    virtualMachineId: machineId(second[1], 7),
    entraTenantId: second[0],
    subscriptionId: second[1],
    address: "203.0.113.17",
    fqdn: "customer-7.westeurope.cloudapp.azure.example",
    region: "westeurope",
    state: { health: "unknown", reason: "NotSeenYet" },
  });
  const organization = clouds.platform.organizations.get(first.entraTenantId);
  if (!organization) throw new Error("no organisation");
  clouds.platform.organizations.set(first.entraTenantId, { ...organization, azureAccess: false });
  const healths: string[] = [];
  for (let round = 0; round < 5; round += 1) {
    expect(await sweep()).toMatchObject({ failed: 1 });
    healths.push((await state()).health);
  }
  expect(healths).toEqual(["healthy", "healthy", "unknown", "unknown", "unknown"]);
  expect(await condition()).toMatchObject({ status: "Unknown", reason: "AzureAccessMissing" });
  expect(await state("customer-7-gateway-1")).toMatchObject({ health: "healthy" });

  clouds.platform.organizations.set(first.entraTenantId, organization);
  await sweep();
  expect(await condition()).toMatchObject({ status: "True" });
  expect((await events()).filter(({ tenantId }) => tenantId === "customer-0")).toHaveLength(2);
});

test("one failed sweep says nothing, and is forgotten by the next that succeeds", async () => {
  await customers(1);
  await clouds.fault("arm", "5xx", { method: "POST", path: "Microsoft.ResourceGraph" });
  await sweep();
  expect((await world.stores.gateways.all())[0]).toMatchObject({ misses: 1, state: { health: "healthy" } });
  await sweep();
  expect((await world.stores.gateways.all())[0]).toMatchObject({ misses: 0 });
  expect(await events()).toEqual([]);
});

test("who dies between the change and telling it leaves the debt to the next sweep: told once, with its own time", async () => {
  const { machines } = await customers(1);
  await register();
  await act(machines[0] ?? "", "stop");
  const { events: working } = world.stores;
  for (const broken of [
    { ...working, add: () => Promise.reject(new Error("gone before")) },
    {
      ...working,
      add: (event: Parameters<typeof working.add>[0]) => working.add(event).then(() => Promise.reject(new Error("gone after"))),
    },
  ]) {
    clock.time += 300_000;
    await expect(sweepFleet({ ...world, stores: { ...world.stores, events: broken } }, "everything")).rejects.toThrow("gone");
  }
  await sweep();
  expect(await condition()).toMatchObject({ status: "False" });
  expect((await events()).map(({ at }) => at)).toEqual([new Date(start + 300_000).toISOString()]);
  storage.counts();
  await sweep();
  expect(storage.counts().writes).toBe(0);
});

test("two sweeps at once tell a change once; the timer lets none overtake another", async () => {
  const { machines } = await customers(1);
  await register();
  await act(machines[0] ?? "", "stop");
  await Promise.all([sweepFleet(world, "everything"), sweepFleet(world, "exceptions")]);
  expect(await events()).toHaveLength(1);

  const poll = pollGateways(world);
  await Promise.all([poll({ pastDue: false }), poll({ pastDue: true })]);
  expect(logged.filter((line) => line.includes("swept the fleet"))).toHaveLength(1);
  await poll({ pastDue: true });
  expect(logged.filter((line) => line.includes("swept the fleet"))).toHaveLength(2);
});

test("a machine is found with its power and availability when looked at alone", async () => {
  const { machines, entraTenantId } = await customers(1);
  const look = await fleet.look(entraTenantId, machines[0] ?? "");
  expect(look).toEqual(present({ power: "PowerState/running", availability: "Available", agent: "Missing" }));
});
