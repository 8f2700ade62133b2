/**
 * Table `gateways`: partition = partner, row `g_<nnnn>` = up to 200 of its gateways packed as one JSON document, filled in turn. A sweep
 * over the fleet reads a row where it would read 200, and writes only rows in which something changed, a partner's in one transaction; a
 * partner's list is its partition.
 */
import { refusal } from "../api/error-codes.ts";
import { gatewayIdOf } from "../api/gateway-id.ts";
import type { GatewayState, Health } from "../api/gateway.ts";
import type { Clock } from "../clock.ts";
import { all, rowsBeginning, where } from "./filter.ts";
import type { Storage } from "./storage.ts";
import { createTable, type Page, packed, type Row, type StoredRow, unpacked, untilUncontested } from "./table.ts";

/** A change of state that is written but not yet told: its event has this id, so that telling it twice is telling it once. */
export interface OwedEvent {
  id: string;
  at: string;
  before: GatewayState;
  after: GatewayState;
}

/** A health that it had once, until the next one or the present one began. */
export interface PastState {
  health: Health;
  since: string;
}

export interface GatewayRecord {
  partnerId: string;
  tenantId: string;
  /** `<tenantId>-<virtual machine's name>`, the partner's name for it. */
  id: string;
  virtualMachineId: string;
  entraTenantId: string;
  subscriptionId: string;
  /** Public IPv4 address that its mail leaves from. */
  address: string;
  /** Since when it has that address; rows that are older than this property don't say. */
  addressSince?: string;
  fqdn: string;
  region: string;
  state: GatewayState;
  /** Sweeps in a row that could not ask for it. */
  misses: number;
  owed: OwedEvent[];
  /** Oldest first; of a quarter. */
  past?: PastState[];
  updatedAt: string;
}

export type GatewayRegistration = Pick<
  GatewayRecord,
  "partnerId" | "tenantId" | "virtualMachineId" | "entraTenantId" | "subscriptionId" | "address" | "fqdn" | "region"
> & {
  /** What is known of it when it is registered; a gateway that is known already keeps the state that it has. */
  state: Omit<GatewayState, "since">;
};

export type StateChange = Pick<GatewayRecord, "state" | "misses" | "owed" | "past">;

/** A packed row as it was read. */
export interface FleetRow {
  readonly partnerId: string;
  readonly row: string;
  readonly etag: string;
  readonly gateways: readonly GatewayRecord[];
}

export type Decide = (gateway: GatewayRecord) => StateChange | undefined;

export interface GatewayStore {
  /** Idempotent: by virtual machine; what says the same again writes nothing. */
  put(registration: GatewayRegistration): Promise<{ gateway: GatewayRecord; created: boolean }>;
  /** Throws GatewayNotFound. */
  get(partnerId: string, gatewayId: string): Promise<GatewayRecord>;
  find(partnerId: string, gatewayId: string): Promise<GatewayRecord | undefined>;
  /** False when it was not there. */
  remove(partnerId: string, gatewayId: string): Promise<boolean>;
  /** All of a partner's. */
  of(partnerId: string): Promise<GatewayRecord[]>;
  listOf(partnerId: string, pageSize: number, after?: string): Promise<Page<GatewayRecord>>;
  /** Everybody's gateways as they are packed; for timers. */
  fleet(): Promise<FleetRow[]>;
  /** Everybody's gateways; for timers. */
  all(): Promise<GatewayRecord[]>;
  /**
   * Changes packed rows over what was read, and again over what somebody else wrote in between. `decide` gives what changes in a gateway,
   * `undefined` for nothing; it may be called several times. Writes nothing when nothing changes.
   */
  recordStates(rows: readonly FleetRow[], decide: Decide): Promise<FleetRow[]>;
}

/** A row of 200 stays far below what Table Storage takes, and below what is slow to read (research: 20 kB to 100 kB). */
export const GATEWAYS_A_ROW = 200;

export function createGatewayStore(storage: Storage, clock: Clock): GatewayStore {
  const table = createTable(storage, "gateways");
  const now = () => new Date(clock.now()).toISOString();
  const rowsOf = async (partnerId: string): Promise<FleetRow[]> =>
    (await table.all(rowsBeginning(partnerId, "g_"))).map(fleetRowOf);

  /** `undefined` when somebody else wrote it meanwhile. */
  async function replace(row: FleetRow, gateways: GatewayRecord[]): Promise<FleetRow | undefined> {
    const written = await table.replace(rowOf(row.partnerId, row.row, gateways), row.etag);
    return written.outcome === "done" ? { ...row, gateways, etag: written.etag } : undefined;
  }

  /** The row itself when nothing changes. */
  function changedBy(row: FleetRow, decide: Decide): FleetRow {
    const gateways = row.gateways.map((gateway) => {
      const change = decide(gateway);
      return change === undefined ? gateway : { ...gateway, ...change, updatedAt: now() };
    });
    return gateways.every((gateway, index) => gateway === row.gateways[index]) ? row : { ...row, gateways };
  }

  /** Somebody else wrote one of the rows: each by itself, and again over what is there by now. */
  async function recordAlone(row: FleetRow, decide: Decide): Promise<FleetRow> {
    let current: FleetRow | undefined = row;
    return untilUncontested(`gateways of ${row.partnerId}`, async () => {
      if (current === undefined) {
        const read = await table.get({ partitionKey: row.partnerId, rowKey: row.row });
        if (!read) return { ...row, gateways: [] };
        current = fleetRowOf(read);
      }
      const next = changedBy(current, decide);
      if (next === current) return current;
      const written = await replace(current, [...next.gateways]);
      current = undefined;
      return written;
    });
  }

  const of = async (partnerId: string): Promise<GatewayRecord[]> => (await rowsOf(partnerId)).flatMap(({ gateways }) => gateways);
  const find = async (partnerId: string, gatewayId: string): Promise<GatewayRecord | undefined> =>
    (await of(partnerId)).find(({ id }) => id === gatewayId);

  return {
    of,
    find,
    get: async (partnerId, gatewayId) => {
      const found = await find(partnerId, gatewayId);
      if (!found) throw refusal("GatewayNotFound", `there is no gateway ${gatewayId}`);
      return found;
    },
    put: async ({ state, ...registration }) =>
      untilUncontested(`gateway ${registration.virtualMachineId}`, async () => {
        const { partnerId, virtualMachineId } = registration;
        const rows = await rowsOf(partnerId);
        const home = rows.find(({ gateways }) => gateways.some((one) => same(one.virtualMachineId, virtualMachineId)));
        const at = now();
        const known = home?.gateways.find((one) => same(one.virtualMachineId, virtualMachineId));
        if (home && known) {
          const gateway = { ...known, ...registration, id: known.id, virtualMachineId: known.virtualMachineId };
          if (JSON.stringify(gateway) === JSON.stringify(known)) return { gateway: known, created: false };
          const moved = gateway.address === known.address ? {} : { addressSince: at };
          const changed = { ...gateway, ...moved, updatedAt: at };
          const written = await replace(
            home,
            home.gateways.map((one) => (one === known ? changed : one)),
          );
          return written && { gateway: changed, created: false };
        }
        const id = gatewayIdOf(registration.tenantId, virtualMachineId);
        const gateway: GatewayRecord = {
          ...registration,
          id,
          addressSince: at,
          state: { ...state, since: at },
          misses: 0,
          owed: [],
          updatedAt: at,
        };
        const open = rows.find(({ gateways }) => gateways.length < GATEWAYS_A_ROW);
        const written = open
          ? await replace(open, [...open.gateways, gateway])
          : (await table.create(rowOf(partnerId, rowNameAfter(rows.at(-1)), [gateway]))).outcome === "done";
        return written ? { gateway, created: true } : undefined;
      }),
    remove: async (partnerId, gatewayId) =>
      untilUncontested(`gateway ${gatewayId}`, async () => {
        const home = (await rowsOf(partnerId)).find(({ gateways }) => gateways.some(({ id }) => id === gatewayId));
        if (!home) return false;
        const rest = home.gateways.filter(({ id }) => id !== gatewayId);
        return (await replace(home, rest)) && true;
      }),
    listOf: async (partnerId, pageSize, after) => {
      const items: GatewayRecord[] = [];
      let position = positionOf(after);
      while (true) {
        const fromHere = all(rowsBeginning(partnerId, "g_"), where("RowKey", "ge", position.row));
        const { items: rows, next } = await table.page(fromHere, 1);
        const [row] = rows.map(fleetRowOf);
        if (!row) return { items };
        const rest = row.row === position.row ? row.gateways.slice(position.index) : row.gateways;
        const skipped = row.gateways.length - rest.length;
        const taken = rest.slice(0, pageSize - items.length);
        items.push(...taken);
        const index = skipped + taken.length;
        const rowEnds = index >= row.gateways.length;
        position = rowEnds ? { row: rowNameAfter(row), index: 0 } : { row: row.row, index };
        if (rowEnds && next === undefined) return { items };
        if (items.length >= pageSize) return { items, next: `${position.row}.${position.index}` };
      }
    },
    fleet: async () => (await table.all(fleetFilter)).map(fleetRowOf),
    all: async () => (await table.all(fleetFilter)).flatMap((row) => fleetRowOf(row).gateways),
    recordStates: async (rows, decide) => {
      const next = rows.map((row) => changedBy(row, decide));
      const changed = next.filter((row, index) => row !== rows[index]);
      const written = new Map<string, FleetRow>();
      for (const together of transactionsOf(changed)) {
        const actions = together.map(({ row, stored }) => ({ replace: stored, etag: row.etag }));
        const outcome = await table.transact(actions);
        for (const [index, { row }] of together.entries())
          written.set(
            nameOf(row),
            outcome.outcome === "done"
              ? { ...row, etag: outcome.etags[index] ?? "" }
              : await recordAlone(rows.find((read) => nameOf(read) === nameOf(row)) ?? row, decide),
          );
      }
      return rows.map((row) => written.get(nameOf(row)) ?? row);
    },
  };
}

const nameOf = ({ partnerId, row }: FleetRow): string => `${partnerId} ${row}`;

interface ToWrite {
  row: FleetRow;
  stored: Row;
}

/** A transaction takes 100 rows of one partition and 4 MiB; in JSON a text of JSON grows by its quotation marks. */
const MOST_ROWS = 100;
const MOST_CHARACTERS = 3_000_000;

function transactionsOf(rows: readonly FleetRow[]): ToWrite[][] {
  const transactions: ToWrite[][] = [];
  let room = 0;
  for (const row of rows) {
    const stored = rowOf(row.partnerId, row.row, row.gateways);
    const size = JSON.stringify(stored).length;
    const open = transactions.at(-1);
    if (open?.[0]?.row.partnerId === row.partnerId && open.length < MOST_ROWS && size <= room) {
      open.push({ row, stored });
      room -= size;
    } else {
      transactions.push([{ row, stored }]);
      room = MOST_CHARACTERS - size;
    }
  }
  return transactions;
}

/** All packed rows of all partners: rows begin with `g_`, and "`" is the character after "_". */
const fleetFilter = all(where("RowKey", "ge", "g_"), where("RowKey", "lt", "g`"));

/** ARM compares ids without case. */
const same = (one: string, other: string): boolean => one.toLowerCase() === other.toLowerCase();

const rowNameAfter = (last: Pick<FleetRow, "row"> | undefined): string =>
  `g_${String(last === undefined ? 0 : Number(last.row.slice(2)) + 1).padStart(4, "0")}`;

/** Rows grow at their end and keep their order, so a row and an index say where a list goes on. */
function positionOf(after: string | undefined): { row: string; index: number } {
  const [, row = "g_", index = "0"] = /^(g_\d{4,})\.(\d+)$/.exec(after ?? "") ?? [];
  return { row, index: Number(index) };
}

const rowOf = (partnerId: string, row: string, gateways: readonly GatewayRecord[]): Row => ({
  partitionKey: partnerId,
  rowKey: row,
  count: gateways.length,
  ...packed("gateways", gateways),
});

const fleetRowOf = (stored: StoredRow): FleetRow => ({
  partnerId: stored.partitionKey,
  row: stored.rowKey,
  etag: stored.etag,
  gateways: (unpacked(stored, "gateways") ?? []) as GatewayRecord[],
});
