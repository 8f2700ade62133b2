/** `npm run bench -- sweep`: calls of all kinds that a sweep over the fleet takes, beside the fewest possible and a loop over tenants. */
import { randomUUID } from "node:crypto";
import { sweepFleet, type SweepWorld } from "../../functions/gateways/sweep.ts";
import { gatewayIdOf } from "../../shared/api/gateway-id.ts";
import { createAzure } from "../../shared/azure/client.ts";
import { createFleet, type Fleet, type Which } from "../../shared/azure/fleet.ts";
import { createCredentials } from "../../shared/entra/credentials.ts";
import { createLog } from "../../shared/log.ts";
import { createEventStore } from "../../shared/stores/events.ts";
import { createGatewayStore, GATEWAYS_A_ROW, type GatewayRecord } from "../../shared/stores/gateways.ts";
import { createHeartbeatStore } from "../../shared/stores/heartbeats.ts";
import type { Storage } from "../../shared/stores/storage.ts";
import { createTable, packed, type Table } from "../../shared/stores/table.ts";
import { createTenantStore } from "../../shared/stores/tenants.ts";
import type { TenantSpec } from "../../shared/tenants/spec.ts";
import { startClouds, type TestClouds } from "../support/clouds.ts";
import { machineId, placeMachines } from "../support/fleet.ts";
import { memoryStorage } from "../support/memory-storage.ts";
import type { BenchmarkOptions, Print } from "./rounds.ts";

const SIZES = [100, 1000, 10_000];
/** The loop is counted up to here; it grows by as much with each tenant. */
const LARGEST_LOOP = 1000;
/** As many Entra tenants as the simulated ones are made in a moment. */
const LARGEST_ESTATE = 100;
const CHANGES = 4;
const EVERY_IN_SECONDS = 600;
const partnerId = "northwind";

interface Row {
  what: string;
  calls: Map<number, number>;
  least: Map<number, number>;
}

export async function sweep({ print, brief }: BenchmarkOptions): Promise<void> {
  const sizes = brief ? SIZES.slice(0, 1) : SIZES;
  const quiet: Row = { what: "exceptions, nothing changed", calls: new Map(), least: new Map() };
  const whole: Row = { what: "everybody, nothing changed", calls: new Map(), least: new Map() };
  const changed: Row = { what: `exceptions, ${CHANGES} gateways stopped`, calls: new Map(), least: new Map() };
  const own: Row = { what: "exceptions, an Entra tenant each", calls: new Map(), least: new Map() };
  const loop = new Map<number, number>();
  const clouds = await startClouds();
  try {
    for (const size of sizes) {
      const fleet = await fleetOf(clouds, size, 1);
      for (const [row, which] of [
        [quiet, "exceptions"],
        [whole, "everything"],
      ] as const) {
        row.calls.set(size, await fleet.sweep(which));
        row.least.set(size, 3 + (which === "everything" ? Math.ceil(size / 1000) : 1));
      }
      changed.calls.set(size, await fleet.stopSome());
      changed.least.set(size, 4 + 4 * CHANGES + 1);
      loop.set(size, size <= LARGEST_LOOP ? await fleet.loop() : (perTenant(loop) ?? 0) * size + 1);
      if (size > LARGEST_ESTATE) continue;
      own.calls.set(size, await (await fleetOf(clouds, size, size)).sweep("exceptions"));
      own.least.set(size, 3 + size);
    }
  } finally {
    await clouds.stop();
  }
  report(print, sizes, [quiet, whole, changed, own], loop);
}

const perTenant = (loop: Map<number, number>): number | undefined => {
  const [size, calls] = [...loop].at(-1) ?? [];
  return size === undefined || calls === undefined ? undefined : (calls - 1) / size;
};

interface Swept {
  sweep(which: Which): Promise<number>;
  stopSome(): Promise<number>;
  loop(): Promise<number>;
}

/** Gateways that run and report, one a tenant, in subscriptions of so many Entra tenants. */
async function fleetOf(clouds: TestClouds, size: number, directories: number): Promise<Swept> {
  const clock = { time: Date.UTC(2026, 10, 22, 8), now: () => clock.time };
  const { storage, calls } = counting(memoryStorage());
  const gateways = createGatewayStore(storage, clock);
  const table = createTable(storage, "gateways");
  const at = new Date(clock.time).toISOString();
  const each = size / directories;
  const records: GatewayRecord[] = [];
  for (let directory = 0; directory < directories; directory += 1) {
    const [entraTenantId, subscriptionId] = [randomUUID(), randomUUID()];
    await clouds.organize({ tenantId: entraTenantId, domains: [], subscriptionId });
    placeMachines(clouds.platform, { subscriptionId, count: each, from: directory * each, partnerId });
    for (let index = directory * each; index < (directory + 1) * each; index += 1)
      records.push(gatewayOf(index, { entraTenantId, subscriptionId, at }));
  }
  for (let from = 0; from < size; from += GATEWAYS_A_ROW)
    await table.create({
      partitionKey: partnerId,
      rowKey: `g_${String(from / GATEWAYS_A_ROW).padStart(4, "0")}`,
      ...packed("gateways", records.slice(from, from + GATEWAYS_A_ROW)),
    });
  const heartbeats = createHeartbeatStore(storage, clock);
  for (const { id: gatewayId, tenantId, virtualMachineId, entraTenantId } of records)
    await heartbeats.register({ partnerId, gatewayId, tenantId, virtualMachineId, entraTenantId, clientId: randomUUID() });
  const { fleet, log } = cloudsOf(clouds);
  const tenants = createTenantStore(storage, clock);
  const stores = { gateways, heartbeats, tenants, events: createEventStore(storage) };
  const world: SweepWorld = { stores, fleet, clock, log, heartbeatEveryInSeconds: EVERY_IN_SECONDS };
  /** The first ones are spread over as many packed rows as they can. */
  const some = Array.from(
    { length: CHANGES + 1 },
    (_, index) => records[(index * GATEWAYS_A_ROW + index) % size] as GatewayRecord,
  );
  for (const { tenantId } of some) await tenants.add(partnerId, tenantId, { displayName: tenantId } as TenantSpec);
  const stop = ({ virtualMachineId }: GatewayRecord) => clouds.platform.peers.actOnMachine?.(virtualMachineId, "stop");

  async function counted(work: () => Promise<unknown>): Promise<number> {
    const since = (await clouds.requests("arm")).at(-1)?.seq ?? 0;
    calls.reset();
    await work();
    return 1 + calls.count() + (await clouds.requests("arm", since)).length;
  }
  const [first, ...others] = some;
  // What is done once a month, and once a process, is done: tables are opened, the month of the events is noted.
  if (directories === 1 && first) stop(first);
  await sweepFleet(world, "everything");

  return {
    sweep: (which) => counted(() => sweepFleet(world, which)),
    stopSome: () => {
      for (const gateway of others) stop(gateway);
      return counted(() => sweepFleet(world, "exceptions"));
    },
    loop: () => counted(() => loopOver(fleet, createTable(storage, "state"), records)),
  };
}

/** As it is written at first: each tenant's machine is asked for, and its row read and written. */
async function loopOver(fleet: Fleet, table: Table, gateways: GatewayRecord[]): Promise<void> {
  for (const { entraTenantId, virtualMachineId, id } of gateways) {
    const seen = await fleet.look(entraTenantId, virtualMachineId);
    const key = { partitionKey: partnerId, rowKey: id };
    const row = await table.get(key);
    if (row) await table.replace({ ...key, ...packed("seen", seen) }, row.etag);
    else await table.create({ ...key, ...packed("seen", seen) });
  }
}

function gatewayOf(index: number, where: { entraTenantId: string; subscriptionId: string; at: string }): GatewayRecord {
  const { entraTenantId, subscriptionId, at } = where;
  const tenantId = `customer-${index}`;
  const virtualMachineId = machineId(subscriptionId, index);
  return {
    partnerId,
    tenantId,
    id: gatewayIdOf(tenantId, virtualMachineId),
    virtualMachineId,
    entraTenantId,
    subscriptionId,
    address: "203.0.113.10",
    fqdn: `${tenantId}.westeurope.cloudapp.azure.example`,
    region: "westeurope",
    state: { health: "healthy", power: "PowerState/running", availability: "Available", reason: "Running", since: at },
    misses: 0,
    owed: [],
    updatedAt: at,
  };
}

function cloudsOf(clouds: TestClouds): Pick<SweepWorld, "fleet" | "log"> {
  const { environment, application } = clouds;
  const credentials = createCredentials(environment, application);
  const azure = createAzure({ environment, credentials });
  return { fleet: createFleet({ environment, credentials, azure }), log: createLog("error", () => undefined) };
}

const METHODS = new Set(["getEntity", "createEntity", "updateEntity", "deleteEntity", "submitTransaction", "listEntities"]);

/** Each call that would be a request, a page that is read as one. */
function counting(storage: Storage): { storage: Storage; calls: { count(): number; reset(): void } } {
  let calls = 0;
  const table: Storage["table"] = async (name) =>
    new Proxy(await storage.table(name), {
      get: (target, property) => {
        if (METHODS.has(String(property))) calls += 1;
        return Reflect.get(target, property) as unknown;
      },
    });
  return { storage: { ...storage, table }, calls: { count: () => calls, reset: () => void (calls = 0) } };
}

function report(print: Print, sizes: number[], rows: Row[], loop: Map<number, number>): void {
  const column = (text: string) => text.padStart(13);
  const line = (what: string, values: (size: number) => string | undefined, last = "") =>
    print([what.padEnd(36), ...sizes.map((size) => column(values(size) ?? "")), column(last)].join(""));
  line("Calls of a sweep, over the fewest", (size) => `${size} tenants`, "slope");
  for (const { what, calls, least } of rows) line(what, (size) => ratio(calls.get(size), least.get(size)), slopeOf(calls));
  line("a loop over tenants", (size) => String(loop.get(size) ?? ""), slopeOf(loop));
  line("goal", () => "<= 1.15x", "<= 0.50");
  print("");
  line("Times as many calls in the loop", (size) => `${size} tenants`);
  for (const { what, calls } of rows)
    line(what, (size) => {
      const [ours, theirs] = [calls.get(size), loop.get(size)];
      return ours === undefined || theirs === undefined ? undefined : (theirs / ours).toFixed(0);
    });
  line("goal", (size) => (size === 10_000 ? ">= 1000" : ""));
}

const ratio = (calls: number | undefined, least: number | undefined): string | undefined =>
  calls === undefined || least === undefined ? undefined : `${calls} (${(calls / least).toFixed(2)}x)`;

/** Of the logarithms, from the least fleet to the largest. */
function slopeOf(calls: Map<number, number>): string {
  const [[few, least], [many, most]] = [[...calls].at(0) ?? [1, 1], [...calls].at(-1) ?? [1, 1]];
  return few === many ? "" : (Math.log(most / least) / Math.log(many / few)).toFixed(2);
}
