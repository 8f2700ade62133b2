/**
 * Table `heartbeats`: partition = partner, row = gateway's id. A row holds who may report for the machine, its last heartbeat, and the
 * readings of the last 24 hours packed, one each ten minutes; so a beat is one read and one write, and a partner's gateway one read.
 */
import { refusal } from "../api/error-codes.ts";
import type { HeartbeatInput, Reading } from "../api/heartbeat.ts";
import type { Clock } from "../clock.ts";
import type { Storage } from "./storage.ts";
import { createTable, packed, type Row, type StoredRow, textOf, unpacked, untilUncontested } from "./table.ts";

export interface Agent {
  partnerId: string;
  gatewayId: string;
  tenantId: string;
  virtualMachineId: string;
  /** Entra tenant of the machine's identity, and that identity's client id. */
  entraTenantId: string;
  clientId: string;
}

export interface HeartbeatRecord extends Agent {
  last?: HeartbeatInput & { receivedAt: string };
  readings: Reading[];
}

export interface HeartbeatStore {
  /** Who may report for a machine from now on; what it has reported stays. Writes nothing when it is known so. */
  register(agent: Agent): Promise<void>;
  find(partnerId: string, gatewayId: string): Promise<HeartbeatRecord | undefined>;
  /** Nobody reports for it any more; what it has reported goes too. */
  forget(partnerId: string, gatewayId: string): Promise<void>;
  /** Throws AgentNotFound. */
  record(partnerId: string, gatewayId: string, heartbeat: HeartbeatInput): Promise<{ receivedAt: string }>;
}

const SLOT_IN_MILLISECONDS = 10 * 60 * 1000;
const DAY_IN_MILLISECONDS = 24 * 60 * 60 * 1000;

export function createHeartbeatStore(storage: Storage, clock: Clock): HeartbeatStore {
  const table = createTable(storage, "heartbeats");
  const read = (partnerId: string, gatewayId: string) => table.get({ partitionKey: partnerId, rowKey: gatewayId });

  return {
    register: (agent) =>
      untilUncontested(`heartbeats of ${agent.gatewayId}`, async () => {
        const row = await read(agent.partnerId, agent.gatewayId);
        if (row === undefined) return (await table.create(rowOf({ ...agent, readings: [] }))).outcome === "done" || undefined;
        const known = recordOf(row);
        if (JSON.stringify({ ...known, ...agent }) === JSON.stringify(known)) return true;
        return (await table.replace(rowOf({ ...known, ...agent }), row.etag)).outcome === "done" || undefined;
      }).then(() => undefined),
    find: async (partnerId, gatewayId) => {
      const row = await read(partnerId, gatewayId);
      return row && recordOf(row);
    },
    forget: async (partnerId, gatewayId) => {
      await table.remove({ partitionKey: partnerId, rowKey: gatewayId }, "*");
    },
    record: (partnerId, gatewayId, heartbeat) =>
      untilUncontested(`heartbeats of ${gatewayId}`, async () => {
        const row = await read(partnerId, gatewayId);
        if (row === undefined) throw refusal("AgentNotFound", `there is no machine ${partnerId}.${gatewayId}`);
        const now = clock.now();
        const receivedAt = new Date(now).toISOString();
        const known = recordOf(row);
        const next = { ...known, last: { ...heartbeat, receivedAt }, readings: withReading(known.readings, heartbeat, now) };
        return (await table.replace(rowOf(next), row.etag)).outcome === "done" ? { receivedAt } : undefined;
      }),
  };
}

/** A second one within ten minutes takes the place of the first, and what is older than a day goes. */
function withReading(readings: Reading[], { queue, badmail, probe }: HeartbeatInput, now: number): Reading[] {
  const slot = (at: number): number => Math.floor(at / SLOT_IN_MILLISECONDS);
  const kept = readings.filter(({ at }) => Date.parse(at) > now - DAY_IN_MILLISECONDS && slot(Date.parse(at)) !== slot(now));
  const reading: Reading = {
    at: new Date(now).toISOString(),
    queue: queue?.count ?? null,
    badmail: badmail?.count ?? null,
    oldestAgeInSeconds: queue?.oldestAgeInSeconds ?? null,
    // The code and its enhanced twin are what is judged; a day of whole replies would be a lot of the same words.
    reply: /^\d{3}( \d\.\d{1,3}\.\d{1,3})?/.exec(probe?.reply ?? "")?.[0] ?? "",
  };
  return [...kept, reading];
}

const rowOf = (record: HeartbeatRecord): Row => {
  const { partnerId, gatewayId, tenantId, virtualMachineId, entraTenantId, clientId, last, readings } = record;
  return {
    partitionKey: partnerId,
    rowKey: gatewayId,
    tenantId,
    virtualMachineId,
    entraTenantId,
    clientId,
    ...packed("last", last),
    ...packed("readings", readings),
  };
};

function recordOf(row: StoredRow): HeartbeatRecord {
  const last = unpacked(row, "last") as HeartbeatRecord["last"];
  return {
    partnerId: row.partitionKey,
    gatewayId: row.rowKey,
    // A row that was written before it was kept has none until the next onboarding.
    tenantId: row["tenantId"] === undefined ? "" : textOf(row, "tenantId"),
    virtualMachineId: textOf(row, "virtualMachineId"),
    entraTenantId: textOf(row, "entraTenantId"),
    clientId: textOf(row, "clientId"),
    ...(last === undefined ? {} : { last }),
    readings: (unpacked(row, "readings") ?? []) as Reading[],
  };
}
