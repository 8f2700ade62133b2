/**
 * Table `heartbeats`: partition = partner, row = gateway's id. A row holds who may report for the machine, its last heartbeat, the readings
 * of the last 24 hours packed, one each ten minutes, and the hours of 90 days packed, each written by the first beat of the next; so a
 * beat is one read and one transaction, and a partner's gateway one read. Row `b_<gateway's id>`, written with it, is narrow: when it was
 * heard last, and what is wrong; so a sweep reads a range of each partner's narrow rows, and none of what machines told.
 */
import { refusal } from "../api/error-codes.ts";
import type { HeartbeatInput, Reading, ReportFinding } from "../api/heartbeat.ts";
import type { Clock } from "../clock.ts";
import { all, any, rowsBeginning, where } from "./filter.ts";
import { unpackHours, type WorstReading, withEndedHours } from "./hourly-readings.ts";
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
  findings: ReportFinding[];
  /** The worst of each hour that is over, oldest first, of 90 days; unpacked when they are asked for. */
  hours(): WorstReading[];
  block?: SeenBlock;
}

/** Microsoft's own block list has the machine's address, as replies to its probes and its mail say. */
export interface SeenBlock {
  list: string;
  /** Of the newest reply. */
  code: string;
  since: string;
  /** The machine's time of the newest reply that counts. */
  probedAt: string;
  /** Two replies in a row said so. */
  agreed?: true;
  /** A case of it was asked for, or was there. */
  toldAt?: string;
}

/** What a sweep has to know of a machine: when it was heard last (or registered), and what its readings agree on. */
export interface Report {
  partnerId: string;
  gatewayId: string;
  heardAt: string;
  findings: ReportFinding[];
}

/** How a heartbeat is to be judged, by thresholds that are its tenant's own. */
export interface Assessment {
  levels: NonNullable<Reading["levels"]>;
  /** How long a reading lasts: what comes within it takes its place. */
  readingInSeconds: number;
  /** What was found before, with the newest reading's levels and those before it, oldest first. */
  judge(findings: readonly ReportFinding[], levels: NonNullable<Reading["levels"]>[]): ReportFinding[];
  /** As it is by this heartbeat. */
  block?: SeenBlock | undefined;
}

export interface HeartbeatStore {
  /** Who may report for a machine from now on; what it has reported stays. Writes nothing when it is known so. */
  register(agent: Agent): Promise<void>;
  find(partnerId: string, gatewayId: string): Promise<HeartbeatRecord | undefined>;
  /** Nobody reports for it any more; what it has reported goes too. */
  forget(partnerId: string, gatewayId: string): Promise<void>;
  /** Throws AgentNotFound. */
  record(
    partnerId: string,
    gatewayId: string,
    heartbeat: HeartbeatInput,
    assessment: Assessment,
  ): Promise<{ receivedAt: string }>;
  /** These partners' machines that have not been heard since then, and those whose heartbeats say that something is wrong. */
  exceptions(partnerIds: readonly string[], silentSince: string): Promise<Report[]>;
}

const DAY_IN_MILLISECONDS = 24 * 60 * 60 * 1000;

export function createHeartbeatStore(storage: Storage, clock: Clock): HeartbeatStore {
  const table = createTable(storage, "heartbeats");
  const read = (partnerId: string, gatewayId: string) => table.get({ partitionKey: partnerId, rowKey: gatewayId });

  const at = (): string => new Date(clock.now()).toISOString();
  const newcomer = (agent: Agent): Kept => ({ ...agent, readings: [], findings: [], hours: () => [] });

  return {
    register: (agent) =>
      untilUncontested(`heartbeats of ${agent.gatewayId}`, async () => {
        const row = await read(agent.partnerId, agent.gatewayId);
        if (row === undefined) {
          const first = newcomer(agent);
          return (
            (await table.transact([{ create: rowOf(first) }, { upsert: beatOf(first, at()) }])).outcome === "done" || undefined
          );
        }
        const known = recordOf(row);
        if (JSON.stringify({ ...known, ...agent }) === JSON.stringify(known)) return true;
        return (await table.replace(rowOf({ ...known, ...agent }), row.etag)).outcome === "done" || undefined;
      }).then(() => undefined),
    find: async (partnerId, gatewayId) => {
      const row = await read(partnerId, gatewayId);
      return row && recordOf(row);
    },
    forget: async (partnerId, gatewayId) => {
      for (const rowKey of [gatewayId, `${BEAT}${gatewayId}`]) await table.remove({ partitionKey: partnerId, rowKey }, "*");
    },
    record: (partnerId, gatewayId, heartbeat, { levels, readingInSeconds, judge, block }) =>
      untilUncontested(`heartbeats of ${gatewayId}`, async () => {
        const row = await read(partnerId, gatewayId);
        if (row === undefined) throw refusal("AgentNotFound", `there is no machine ${partnerId}.${gatewayId}`);
        const now = clock.now();
        const receivedAt = new Date(now).toISOString();
        const { block: _, ...known } = recordOf(row);
        const reading = readingOf(heartbeat, receivedAt, levels);
        const readings = withReading(known.readings, reading, readingInSeconds * 1000);
        const newest = readings.slice(-READINGS_TO_JUDGE_BY).map((one) => one.levels ?? {});
        const findings = judge(known.findings, newest);
        const packedHours = withEndedHours(known.packedHours, [...known.readings, reading]);
        const next = {
          ...known,
          last: { ...heartbeat, receivedAt },
          readings,
          findings,
          packedHours,
          ...(block ? { block } : {}),
        };
        const written = await table.transact([{ replace: rowOf(next), etag: row.etag }, { upsert: beatOf(next, receivedAt) }]);
        return written.outcome === "done" ? { receivedAt } : undefined;
      }),
    exceptions: async (partnerIds, silentSince) => {
      const worthTelling = any(where("heardAt", "lt", silentSince), where("attention", "eq", true));
      const reports: Report[] = [];
      for (let first = 0; first < partnerIds.length; first += PARTNERS_AT_ONCE) {
        const some = partnerIds.slice(first, first + PARTNERS_AT_ONCE);
        const ranges = some.map((partnerId) => table.all(all(rowsBeginning(partnerId, BEAT), worthTelling), COLUMNS));
        reports.push(...(await Promise.all(ranges)).flat().map(reportOf));
      }
      return reports;
    },
  };
}

/** As many as the slowest judgement looks back. */
const READINGS_TO_JUDGE_BY = 3;
const PARTNERS_AT_ONCE = 16;
const COLUMNS = ["heardAt", "findings"];
/** No gateway's id has an underscore. */
const BEAT = "b_";

const readingOf = ({ queue, badmail, probe }: HeartbeatInput, at: string, levels: NonNullable<Reading["levels"]>): Reading => ({
  at,
  queue: queue?.count ?? null,
  badmail: badmail?.count ?? null,
  oldestAgeInSeconds: queue?.oldestAgeInSeconds ?? null,
  // The code and its enhanced twin are what is judged; a day of whole replies would be a lot of the same words.
  reply: /^\d{3}( \d\.\d{1,3}\.\d{1,3})?/.exec(probe?.reply ?? "")?.[0] ?? "",
  ...(Object.keys(levels).length === 0 ? {} : { levels }),
});

/** A second one within the time of a reading takes the place of the first, and what is older than a day goes. */
function withReading(readings: Reading[], reading: Reading, slotInMilliseconds: number): Reading[] {
  const now = Date.parse(reading.at);
  const slot = (at: number): number => Math.floor(at / slotInMilliseconds);
  const kept = readings.filter(({ at }) => Date.parse(at) > now - DAY_IN_MILLISECONDS && slot(Date.parse(at)) !== slot(now));
  return [...kept, reading];
}

type Kept = HeartbeatRecord & { packedHours?: string | undefined };

const findingsIn = (row: StoredRow): ReportFinding[] => (unpacked(row, "findings") ?? []) as ReportFinding[];

const rowOf = (record: Kept): Row => {
  const {
    partnerId,
    gatewayId,
    tenantId,
    virtualMachineId,
    entraTenantId,
    clientId,
    last,
    readings,
    findings,
    packedHours,
    block,
  } = record;
  return {
    partitionKey: partnerId,
    rowKey: gatewayId,
    tenantId,
    virtualMachineId,
    entraTenantId,
    clientId,
    ...packed("last", last),
    ...packed("readings", readings),
    ...packed("findings", findings),
    ...packed("hours", packedHours),
    ...packed("block", block),
  };
};

const beatOf = ({ partnerId, gatewayId, findings }: Kept, heardAt: string): Row => ({
  partitionKey: partnerId,
  rowKey: `${BEAT}${gatewayId}`,
  heardAt,
  attention: findings.length > 0,
  ...packed("findings", findings),
});

const reportOf = (row: StoredRow): Report => ({
  partnerId: row.partitionKey,
  gatewayId: row.rowKey.slice(BEAT.length),
  heardAt: textOf(row, "heardAt"),
  findings: findingsIn(row),
});

function recordOf(row: StoredRow): Kept {
  const last = unpacked(row, "last") as HeartbeatRecord["last"];
  const packedHours = unpacked(row, "hours") as string | undefined;
  const block = unpacked(row, "block") as HeartbeatRecord["block"];
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
    findings: findingsIn(row),
    packedHours,
    hours: () => unpackHours(packedHours),
    ...(block === undefined ? {} : { block }),
  };
}
