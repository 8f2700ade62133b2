/**
 * The audit log, only ever added to. Tables `audit<yyyymm>`: partition = `<partnerId>_<tenantId>`, or `<partnerId>` for what is about no
 * tenant; rows `e_<newest first>` one an entry · `h_head` the chain's end and what is still open. An entry and the head that it moves are one
 * transaction over the head's ETag, so a chain never forks; a month's head is sealed before the next month begins. Table `auditmonths`:
 * partition = the same, so that a reader knows which months there are. A month is dropped whole when nobody has to answer for it any more.
 */
import type { AuditActor, AuditEntry } from "../api/audit.ts";
import type { Clock } from "../clock.ts";
import { redacted } from "../log.ts";
import type { PropertyChange } from "../resources/resource.ts";
import {
  BEGINNING,
  type ChainHead,
  type ChainOwner,
  chainKey,
  type Draft,
  hashOf,
  type Head,
  type Link,
  linked,
  type OpenChange,
  type Segment,
} from "./audit-chain.ts";
import { rowsBeginning, where } from "./filter.ts";
import { createMonthlyTables } from "./months.ts";
import type { Storage } from "./storage.ts";
import {
  type Action,
  newestFirst,
  type Page,
  packed,
  type Row,
  type StoredRow,
  textOf,
  unpacked,
  untilUncontested,
} from "./table.ts";

/** What is about to be done. */
export interface AuditChange {
  /** Names its end: an operation's step, or a request. */
  key: string;
  actor: AuditActor;
  operationId?: string;
  step?: string;
  action: string;
  target: { kind: string; name?: string };
  before?: AuditEntry["before"];
  changes?: PropertyChange[];
  request?: unknown;
}

/** What came of it. `Pending`: it was sent, and its end is still to come. */
export interface AuditEnd {
  outcome: "Pending" | "Succeeded" | "Failed";
  error?: { code: string; message: string };
  requestIds?: readonly string[];
  operationId?: string;
}

export interface AuditStore {
  /** Before the change is sent. The same said again, while its end isn't known, is one entry: a step is tried more than once. */
  begin(owner: ChainOwner, change: AuditChange): Promise<void>;
  /** After it. Ends all that has begun under the key; what has ended already stays ended. */
  end(owner: ChainOwner, key: string, end: AuditEnd): Promise<void>;
  /** Newest first. */
  list(owner: ChainOwner, filter: AuditFilter, pageSize: number, after?: string): Promise<Page<AuditEntry>>;
  /** All that is kept of a chain, oldest month first, as it stands in the tables. */
  segments(owner: ChainOwner): Promise<Segment[]>;
  /** Where the chains end that were added to since then, or all of them: a look at every chain of those months, for no caller to wait for. */
  heads(since: string | undefined): Promise<ChainHead[]>;
}

export interface AuditFilter {
  operationId?: string | undefined;
}

/** A chain's end as it was read or written last. Without an ETag there is no row of it in that month yet. */
interface Known {
  month: string;
  head: Head;
  etag?: string;
}

/** What a caller wants to add, seen what the head says. */
type Decision = (head: Head) => { draft: Draft; opens?: Omit<OpenChange, "sequence">; closes?: OpenChange }[];

/** Together below what a transaction may hold (4 MiB). */
const DECISIONS_A_TRANSACTION = 10;
/** What a head remembers as begun and not ended; older ones stay so in the log. */
const MOST_OPEN = 200;
const MOST_KNOWN_HEADS = 1000;
const HEAD = "h_head";
const READ_AT_ONCE = 16;

export function createAuditStore(storage: Storage, clock: Clock): AuditStore {
  const months = createMonthlyTables(storage, "audit", "auditmonths");
  const heads = new Map<string, Known>();
  const waiting = new Map<string, { decide: Decision; settle(error?: unknown): void }[]>();

  /** Whoever adds to the same chain at the same time shares a transaction. */
  function submit(owner: ChainOwner, decide: Decision): Promise<void> {
    const key = chainKey(owner);
    return new Promise((resolve, reject) => {
      const settle = (error?: unknown): void => (error === undefined ? resolve() : reject(error));
      const queue = waiting.get(key);
      if (queue) queue.push({ decide, settle });
      else {
        const begun = [{ decide, settle }];
        waiting.set(key, begun);
        void drain(owner, begun);
      }
    });
  }

  async function drain(owner: ChainOwner, queue: { decide: Decision; settle(error?: unknown): void }[]): Promise<void> {
    while (queue.length > 0) {
      const together = queue.splice(0, DECISIONS_A_TRANSACTION);
      const failed = await append(
        owner,
        together.map(({ decide }) => decide),
      ).catch((error: unknown) => [error]);
      // Whoever hears of its end may come again at once.
      if (queue.length === 0) waiting.delete(chainKey(owner));
      for (const { settle } of together) settle(failed?.[0]);
    }
  }

  async function append(owner: ChainOwner, decisions: Decision[]): Promise<undefined> {
    const key = chainKey(owner);
    await untilUncontested(`the audit log of ${key}`, async () => {
      const remembered = heads.get(key);
      heads.delete(key); // until this ends well, nobody knows
      const thisMonth = months.monthOf(now());
      const fresh = remembered === undefined || remembered.month < thisMonth;
      const known = fresh ? await current(key, thisMonth) : remembered;
      if (known === undefined) return undefined;
      const { head, links } = decided(known.head, owner, decisions);
      // What was remembered may be old, and then there is something to say after all.
      if (links.length === 0) return fresh ? true : append(owner, decisions).then(() => true as const);
      const entries = links.map((link): Action => ({ create: entryRow(key, link) }));
      const row = headRow(key, head);
      const moved: Action = known.etag === undefined ? { create: row } : { replace: row, etag: known.etag };
      const written = await months.of(known.month).transact([moved, ...entries]);
      if (written.outcome !== "done") return undefined;
      if (heads.size >= MOST_KNOWN_HEADS) heads.clear();
      heads.set(key, { month: known.month, head, etag: written.etag });
      return true;
    });
    return undefined;
  }

  function decided(from: Head, owner: ChainOwner, decisions: Decision[]): { head: Head; links: Link[] } {
    let head = from;
    const links: Link[] = [];
    for (const decide of decisions)
      for (const { draft, opens, closes } of decide(head)) {
        const at = now();
        const link = linked(head, owner, at, draft);
        links.push(link);
        const { sequence, hash } = link;
        const open = head.open.filter((one) => one.sequence !== closes?.sequence);
        head = { sequence, hash, at, open: [...open, ...(opens ? [{ ...opens, sequence }] : [])].slice(-MOST_OPEN) };
      }
    return { head, links };
  }

  /** The chain's end, in this month or in a later one that somebody has begun. Undefined when others were quicker: look again. */
  async function current(key: string, thisMonth: string): Promise<Known | undefined> {
    let noted = await months.monthsOf(key);
    if ((noted[0] ?? "") < thisMonth) {
      await months.note(key, thisMonth);
      noted = await months.monthsOf(key); // of two that begin a month at the same time, one sees the other's
    }
    const [month = thisMonth, ...older] = noted;
    const row = await months.of(month).get({ partitionKey: key, rowKey: HEAD });
    if (row) return row["sealed"] === true ? undefined : { month, head: headOf(row), etag: row.etag };
    const head = await sealed(key, older);
    return head && { month, head };
  }

  /** The end of the months before, to which from now on nobody can add. */
  async function sealed(key: string, [month, ...older]: string[]): Promise<Head | undefined> {
    if (month === undefined) return BEGINNING;
    const row = await months.of(month).get({ partitionKey: key, rowKey: HEAD });
    if (row?.["sealed"] === true) return headOf(row);
    const head = row ? headOf(row) : await sealed(key, older);
    if (head === undefined) return undefined;
    const closed = { ...headRow(key, head), sealed: true };
    const { outcome } = row ? await months.of(month).replace(closed, row.etag) : await months.of(month).create(closed);
    return outcome === "done" ? head : undefined;
  }

  /** In the newest month that has one: a month is noted before its first row. */
  async function endOf(key: string, newestFirst: string[]): Promise<Head | undefined> {
    for (const month of newestFirst) {
      const row = await months.of(month).get({ partitionKey: key, rowKey: HEAD });
      if (row) return headOf(row);
    }
    return undefined;
  }

  const now = (): string => new Date(clock.now()).toISOString();

  return {
    begin: (owner, change) => {
      const { about, draft } = startOf(change);
      const id = hashOf(JSON.stringify(draft)).slice(0, 16);
      const { key } = change;
      return submit(owner, ({ open }) =>
        open.some((one) => one.key === key && one.id === id) ? [] : [{ draft, opens: { key, id, about } }],
      );
    },
    end: (owner, key, { requestIds = [], ...end }) =>
      submit(owner, ({ open }) =>
        open
          .filter((one) => one.key === key)
          .map((one) => ({
            draft: { ...one.about, ...end, started: one.sequence, ...(requestIds.length > 0 && { requestIds: [...requestIds] }) },
            ...(end.outcome === "Pending" ? {} : { closes: one }),
          })),
      ),
    list: async (owner, { operationId }, pageSize, after) => {
      const filters = operationId === undefined ? [] : [where("operationId", "eq", operationId)];
      const { items, ...rest } = await months.page(chainKey(owner), "e_", filters, pageSize, after);
      return { items: items.map((row) => entryOf(linkOf(row))), ...rest };
    },
    segments: async (owner) => {
      const key = chainKey(owner);
      const segments: Segment[] = [];
      for (const month of (await months.monthsOf(key)).toReversed()) {
        const row = await months.of(month).get({ partitionKey: key, rowKey: HEAD });
        const links = (await months.of(month).all(rowsBeginning(key, "e_"))).map(linkOf).toReversed();
        segments.push({ month, ...(row ? { head: headOf(row) } : {}), links });
      }
      return segments;
    },
    heads: async (since) => {
      const known = [...(await months.partitions(since === undefined ? "" : months.monthOf(since)))].toSorted(([a], [b]) =>
        a < b ? -1 : 1,
      );
      const heads: ChainHead[] = [];
      while (known.length > 0) {
        const read = known.splice(0, READ_AT_ONCE).map(async ([chain, of]) => ({ chain, head: await endOf(chain, of) }));
        for (const { chain, head } of await Promise.all(read))
          if (head && (since === undefined || head.at === "" || head.at >= since))
            heads.push({ chain, sequence: head.sequence, hash: head.hash });
      }
      return heads;
    },
  };
}

function startOf({ key: _key, before, changes = [], request, ...about }: AuditChange): {
  about: OpenChange["about"];
  draft: Draft;
} {
  const draft: Draft = {
    ...about,
    ...(before === undefined ? {} : { before }),
    ...(changes.length === 0 ? {} : { changes: shownChanges(changes) }),
    ...(request === undefined ? {} : { request: bounded(redacted(request), MOST_CHARACTERS) }),
    outcome: "Started",
  };
  return { about, draft };
}

/** Of one value, and of all that an entry shows. */
const MOST_CHARACTERS_A_VALUE = 2_000;
const MOST_CHARACTERS = 40_000;

function shownChanges(changes: PropertyChange[]): NonNullable<AuditEntry["changes"]> {
  const shown = changes.map(({ path, from, to }) => ({
    path,
    ...(from === undefined ? {} : { from: bounded(redacted(from), MOST_CHARACTERS_A_VALUE) }),
    ...(to === undefined ? {} : { to: bounded(redacted(to), MOST_CHARACTERS_A_VALUE) }),
  }));
  return JSON.stringify(shown).length <= MOST_CHARACTERS ? shown : shown.map(({ path }) => ({ path }));
}

/** What is long is known by its hash. */
function bounded(value: unknown, most: number): unknown {
  const text = JSON.stringify(value) ?? "";
  return text.length <= most ? value : { sha256: hashOf(text), characters: text.length };
}

/** So that the row of a later entry comes first. */
const rowKeyOf = (sequence: number): string => `e_${newestFirst(sequence)}`;

const entryRow = (partitionKey: string, { sequence, text, hash }: Link): Row => ({
  partitionKey,
  rowKey: rowKeyOf(sequence),
  sequence,
  hash,
  operationId: (JSON.parse(text) as Draft).operationId,
  ...packed("text", text),
});

const headRow = (partitionKey: string, { sequence, hash, at, open }: Head): Row => ({
  partitionKey,
  rowKey: HEAD,
  sequence,
  hash,
  at,
  ...packed("open", open),
});

const headOf = (row: StoredRow): Head => ({
  sequence: Number(row["sequence"]),
  hash: textOf(row, "hash"),
  at: row["at"] === undefined ? "" : textOf(row, "at"),
  open: unpacked(row, "open") as OpenChange[],
});

/** The row's key is its place: what its properties say of it anybody could have written. */
const linkOf = (row: StoredRow): Link => ({
  sequence: Number(newestFirst(0)) - Number(row.rowKey.slice(2)),
  hash: textOf(row, "hash"),
  text: unpacked(row, "text") as string,
});

function entryOf({ text, hash }: Link): AuditEntry {
  const { partnerId: _, ...entry } = JSON.parse(text) as Omit<AuditEntry, "hash"> & { partnerId: string };
  return { ...entry, hash };
}
