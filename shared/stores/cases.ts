/**
 * Table `cases`: partition = partner; row `c_<caseId>` a delisting case, row `p_<list>_<address>` the last case of that pair. Both are
 * written in one transaction, so that two messages about one listing can't open two cases.
 */
import type { Clock } from "../clock.ts";
import type { Delisting } from "../api/delisting.ts";
import { refusal } from "../api/error-codes.ts";
import { all, rowsBeginning, where } from "./filter.ts";
import type { Storage } from "./storage.ts";
import {
  type Action,
  createTable,
  type Page,
  packed,
  type StoredRow,
  textOf,
  unpacked,
  untilUncontested,
  type Versioned,
} from "./table.ts";

export type CaseRecord = Delisting & {
  partnerId: string;
  /** The list has said it to the case, too. */
  confirmed?: true | undefined;
  /** Clean answers so far, and when the last of those that count was given. */
  clean?: { answers: number; last: string } | undefined;
  /** Where it goes on if what looks gone comes back. */
  resumes?: Pick<Delisting, "state" | "stateSince"> | undefined;
  /** How often somebody was offered to ask. */
  offers: number;
  /** Not yet told: its events, and what became of its task. */
  owed?: CaseEvent[] | undefined;
};

/** Written with what it tells, and told afterwards: telling it twice is telling it once. */
export interface CaseEvent {
  id: string;
  type: string;
  at: string;
  data: Record<string, unknown>;
}

export type NewCase = Pick<
  CaseRecord,
  "id" | "partnerId" | "tenantId" | "address" | "list" | "listTitle" | "codes" | "listedSince" | "deadline"
>;

/** What may change in a case, `undefined` to take it away; `state` with a `message` goes into its history. */
export type CaseChange = {
  [Key in (typeof changeable)[number]]?: CaseRecord[Key] | undefined;
} & { message?: string };
const changeable = [
  "state",
  "stateSince",
  "outcome",
  "evidence",
  "findings",
  "task",
  "acknowledged",
  "submissions",
  "confirmed",
  "clean",
  "resumes",
  "offers",
  "owed",
] as const satisfies (keyof CaseRecord)[];

export interface CaseStore {
  /** Throws DelistingNotFound. */
  get(partnerId: string, caseId: string): Promise<Versioned<CaseRecord>>;
  find(partnerId: string, caseId: string): Promise<Versioned<CaseRecord> | undefined>;
  /** The last case of an address on a list, open or closed. */
  lastOf(pair: Pick<CaseRecord, "partnerId" | "list" | "address">): Promise<Versioned<CaseRecord> | undefined>;
  /**
   * Opens the case unless the pair has an open one, or a later one: then that is given. One that was closed is linked as the previous.
   */
  open(request: NewCase): Promise<Versioned<CaseRecord>>;
  /** Reads, decides, writes over what was read; `undefined` leaves all as it is. A closed case stays as it is. */
  change(
    partnerId: string,
    caseId: string,
    decide: (known: Versioned<CaseRecord>) => CaseChange | undefined,
  ): Promise<Versioned<CaseRecord>>;
  list(
    partnerId: string,
    filter: { tenantId?: string | undefined; state?: string | undefined },
    pageSize: number,
    after?: string,
  ): Promise<Page<Versioned<CaseRecord>>>;
}

export function createCaseStore(storage: Storage, clock: Clock): CaseStore {
  const table = createTable(storage, "cases");
  const now = () => new Date(clock.now()).toISOString();

  const find: CaseStore["find"] = async (partnerId, caseId) => {
    const row = await table.get(keyOf(partnerId, caseId));
    return row && recordOf(row);
  };
  const get: CaseStore["get"] = async (partnerId, caseId) => {
    const found = await find(partnerId, caseId);
    if (!found) throw refusal("DelistingNotFound", `there is no delisting ${caseId}`);
    return found;
  };
  const pointerKey = ({ partnerId, list, address }: Pick<CaseRecord, "partnerId" | "list" | "address">) => ({
    partitionKey: partnerId,
    rowKey: `p_${list}_${address}`,
  });

  return {
    find,
    get,
    lastOf: async (pair) => {
      const pointer = await table.get(pointerKey(pair));
      return pointer && find(pair.partnerId, textOf(pointer, "caseId"));
    },
    open: async (request) =>
      untilUncontested(`the case of ${request.address} on ${request.list}`, async () => {
        const pointer = await table.get(pointerKey(request));
        const last = pointer && (await find(request.partnerId, textOf(pointer, "caseId")));
        if (last && (last.state !== "closed" || last.listedSince >= request.listedSince)) return last;
        const at = now();
        const record: CaseRecord = {
          ...request,
          state: "opened",
          stateSince: at,
          offers: 0,
          // Lists remember who asked, whichever case it was for.
          submissions: last?.submissions.slice(-MOST_SUBMISSIONS) ?? [],
          ...(last ? { previousCaseId: last.id } : {}),
          findings: [],
          history: [{ at, state: "opened", message: `${request.listTitle} lists ${request.address}` }],
          openedAt: at,
          lastUpdatedAt: at,
        };
        const next = { ...pointerKey(request), caseId: request.id };
        const actions: Action[] = [{ create: rowOf(record) }, pointer ? { replace: next, etag: pointer.etag } : { create: next }];
        const written = await table.transact(actions);
        return written.outcome === "done" ? { ...record, etag: written.etag } : undefined;
      }),
    change: async (partnerId, caseId, decide) =>
      untilUncontested(`delisting ${caseId}`, async () => {
        const known = await get(partnerId, caseId);
        if (known.state === "closed") return known;
        const changed = decide(known);
        if (changed === undefined) return known;
        const { etag, ...record } = known;
        const { message, ...properties } = changed;
        const at = now();
        const next = { ...record, ...properties, lastUpdatedAt: at } as CaseRecord;
        if (next.state !== record.state && properties.stateSince === undefined) next.stateSince = at;
        if (message !== undefined) next.history = [...record.history, { at, state: next.state, message }].slice(-MOST_HISTORY);
        if (next.state === "closed") next.closedAt = at;
        const written = await table.replace(rowOf(next), etag);
        return written.outcome === "done" ? { ...next, etag: written.etag } : undefined;
      }),
    list: async (partnerId, { tenantId, state }, pageSize, after) => {
      const filters = [
        rowsBeginning(partnerId, "c_"),
        ...(tenantId === undefined ? [] : [where("tenantId", "eq", tenantId)]),
        ...(state === undefined ? [] : [where("state", "eq", state)]),
      ];
      const { items, ...rest } = await table.page(all(...filters), pageSize, after);
      return { items: items.map(recordOf), ...rest };
    },
  };
}

/** The newest entries of a case that goes up and down for ever. */
const MOST_HISTORY = 200;
const MOST_SUBMISSIONS = 10;

const keyOf = (partnerId: string, caseId: string) => ({ partitionKey: partnerId, rowKey: `c_${caseId}` });

const rowOf = ({ partnerId, id, tenantId, state, ...rest }: CaseRecord) => ({
  ...keyOf(partnerId, id),
  tenantId,
  state,
  ...packed("details", rest),
});

const recordOf = (row: StoredRow): Versioned<CaseRecord> => ({
  ...(unpacked(row, "details") as Omit<CaseRecord, "partnerId" | "id" | "tenantId" | "state">),
  partnerId: row.partitionKey,
  id: row.rowKey.slice(2),
  tenantId: textOf(row, "tenantId"),
  state: textOf(row, "state") as CaseRecord["state"],
  etag: row.etag,
});
