/**
 * Table `tasks`: partition = partner; row `t_<taskId>` a task, row `o_<tenantId>_<kind>_<hash of its subject>` names the open one. Both are
 * written in one transaction, so that what is asked for twice is one task, and a look over all that is open reads nothing else.
 */
import { createHash, randomUUID } from "node:crypto";
import { refusal } from "../api/error-codes.ts";
import type { Task, TaskKind, TaskState, Verification } from "../api/task.ts";
import type { Clock } from "../clock.ts";
import type { EventStore } from "./events.ts";
import { all, rowsBeginning, where } from "./filter.ts";
import type { Storage } from "./storage.ts";
import { createTable, type Page, packed, type StoredRow, textOf, unpacked, untilUncontested, type Versioned } from "./table.ts";

export type TaskRecord = Task & {
  partnerId: string;
  /** What it is about within its kind, such as a domain; empty where a tenant has one of the kind. */
  subject: string;
  /** What looking whether it is done needs to know; never shown, never a secret. */
  about: Record<string, unknown>;
  /** The orchestration that goes on at once when it hears the event. */
  waiting?: { instanceId: string; event: string } | undefined;
};

/** Which task: a tenant has at most one open with the same of these. */
export type TaskKey = Pick<TaskRecord, "partnerId" | "tenantId" | "kind" | "subject">;

/** Without a time of its own it expires after 90 days. */
type Prefilled = Pick<TaskRecord, "title" | "instructions" | "fields"> &
  Partial<Pick<TaskRecord, "link" | "text" | "record" | "operationId" | "about" | "waiting" | "expiresAt">>;
export type NewTask = TaskKey & Prefilled;

/** What a look saw. */
export type Sight = Omit<Verification, "at">;

/** How to see whether a task of a kind is done. */
export interface TaskCheck {
  look(task: TaskRecord): Promise<Sight>;
  /** What a person's word changes by itself, before anybody looks. */
  accept?(task: TaskRecord, by: "Partner" | "Operator"): Promise<void>;
}
export type TaskChecks = Record<TaskKind, TaskCheck>;

export interface TaskStore {
  /** Opens it, unless one is open: then what is prefilled in that one becomes this. Time and reminders go on. */
  open(wanted: NewTask): Promise<Versioned<TaskRecord>>;
  /** Throws TaskNotFound. */
  get(partnerId: string, taskId: string): Promise<Versioned<TaskRecord>>;
  findOpen(key: TaskKey): Promise<Versioned<TaskRecord> | undefined>;
  /** Keeps what a look saw, and ends the task if that ends it. One that has ended stays as it is. */
  keepSight(task: Pick<TaskRecord, "partnerId" | "id">, sight: Sight): Promise<Versioned<TaskRecord>>;
  /** Ends the open task of that key, if there is one. */
  end(key: TaskKey, state: Exclude<TaskState, "open">, message: string): Promise<void>;
  /** Ends it because nobody waits for it any more: as expired, if its time is over. */
  giveUp(key: TaskKey, message: string): Promise<void>;
  /** Ends all open ones of a tenant, since nobody needs them any more. */
  cancelAll(tenant: Pick<TaskRecord, "partnerId" | "tenantId">, message: string): Promise<void>;
  /** Says the reminders that are due, and that it has expired, once each, as events. */
  remind(task: Versioned<TaskRecord>): Promise<Versioned<TaskRecord>>;
  list(
    partnerId: string,
    filter: { tenantId?: string | undefined; state?: TaskState | undefined; kind?: TaskKind | undefined },
    pageSize: number,
    after?: string,
  ): Promise<Page<Versioned<TaskRecord>>>;
  listOpen(partnerId: string, pageSize: number, after?: string): Promise<Page<Versioned<TaskRecord>>>;
}

const MILLISECONDS_A_DAY = 24 * 3600 * 1000;
const REMIND_AFTER_DAYS = [1, 3, 7];
const LIFETIME_IN_DAYS = 90;

export function createTaskStore(storage: Storage, clock: Clock, events: Pick<EventStore, "add">): TaskStore {
  const table = createTable(storage, "tasks");
  const at = (milliseconds: number = clock.now()) => new Date(milliseconds).toISOString();

  const find = async (partnerId: string, taskId: string): Promise<Versioned<TaskRecord> | undefined> => {
    const row = await table.get(keyOf(partnerId, taskId));
    return row && recordOf(row);
  };
  const get: TaskStore["get"] = async (partnerId, taskId) => {
    const found = await find(partnerId, taskId);
    if (!found) throw refusal("TaskNotFound", `there is no task ${taskId}`);
    return found;
  };
  const findOpen: TaskStore["findOpen"] = async (key) => {
    const open = await table.get(openKeyOf(key));
    return open && find(key.partnerId, textOf(open, "taskId"));
  };

  /** Reads, decides, writes over what was read; `undefined` leaves all as it is. A task that has ended stays as it is. */
  const change = (
    { partnerId, id }: Pick<TaskRecord, "partnerId" | "id">,
    decide: (known: Versioned<TaskRecord>) => Partial<TaskRecord> | undefined,
  ): Promise<Versioned<TaskRecord>> =>
    untilUncontested(`task ${id}`, async () => {
      const known = await get(partnerId, id);
      const changed = known.state === "open" ? decide(known) : undefined;
      if (changed === undefined) return known;
      const { etag, ...record } = known;
      const next: TaskRecord = { ...record, ...changed };
      if (same(next, record)) return known;
      if (next.state === "open") {
        const written = await table.replace(rowOf(next), etag);
        return written.outcome === "done" ? { ...shown(next), etag: written.etag } : undefined;
      }
      const ended: TaskRecord = { ...next, endedAt: at() };
      const written = await table.transact([{ replace: rowOf(ended), etag }, { remove: openKeyOf(ended) }]);
      return written.outcome === "done" ? { ...shown(ended), etag: written.etag } : undefined;
    });

  const end: TaskStore["end"] = async (key, state, message) => {
    const open = await findOpen(key);
    if (open) await close(open, state, message);
  };

  /** Nobody is told by an event that something was done: whoever did it knows. */
  async function close(task: TaskRecord, state: Exclude<TaskState, "open">, message: string): Promise<Versioned<TaskRecord>> {
    if (state === "expired") await tell(task, "expired", task.expiresAt, { message });
    const found = state === "done" ? "done" : state === "canceled" ? "needless" : "missing";
    return change(task, () => ({ state, verification: { at: at(), found, message } }));
  }

  /** Ids and times follow from the task, so that saying it again says nothing new. */
  const tell = ({ partnerId, tenantId, id, kind, title, link }: TaskRecord, what: string, when: string, data: object) =>
    events.add({
      partnerId,
      tenantId,
      id: `${id}-${what}`,
      type: `task.${what.replace(/-\d+$/, "")}`,
      subject: id,
      at: when,
      data: { kind, title, ...(link === undefined ? {} : { link }), ...data },
    });

  return {
    get,
    findOpen,
    end,
    open: async (wanted) =>
      untilUncontested(`the task ${wanted.kind} of ${wanted.tenantId}`, async () => {
        const known = await findOpen(wanted);
        if (known) {
          const changed = await change(known, ({ expiresAt }) => ({ expiresAt, ...prefilledOf(wanted) }));
          return changed.state === "open" ? changed : undefined;
        }
        const record: TaskRecord = {
          ...wanted,
          about: wanted.about ?? {},
          expiresAt: wanted.expiresAt ?? at(clock.now() + LIFETIME_IN_DAYS * MILLISECONDS_A_DAY),
          id: `${dashed(wanted.kind)}-${wanted.tenantId}-${randomUUID().slice(0, 8)}`,
          state: "open",
          createdAt: at(),
          reminders: 0,
        };
        const written = await table.transact([
          { create: rowOf(record) },
          { create: { ...openKeyOf(wanted), taskId: record.id } },
        ]);
        return written.outcome === "done" ? { ...shown(record), etag: written.etag } : undefined;
      }),
    keepSight: async (task, sight) =>
      change(task, ({ verification }) => ({
        verification:
          verification?.found === sight.found && verification.message === sight.message ? verification : { at: at(), ...sight },
        ...(sight.found === "done" ? { state: "done" } : sight.found === "needless" ? { state: "canceled" } : {}),
      })),
    giveUp: async (key, message) => {
      const open = await findOpen(key);
      if (open) await close(open, Date.parse(open.expiresAt) <= clock.now() ? "expired" : "canceled", message);
    },
    cancelAll: async ({ partnerId, tenantId }, message) => {
      for (const row of await table.all(rowsBeginning(partnerId, `o_${tenantId}_`))) {
        const task = await find(partnerId, textOf(row, "taskId"));
        if (task) await close(task, "canceled", message);
      }
    },
    remind: async (task) => {
      const now = clock.now();
      const due = REMIND_AFTER_DAYS.map((days) => ({ days, when: Date.parse(task.createdAt) + days * MILLISECONDS_A_DAY }))
        .filter(({ when }) => when <= now && when < Date.parse(task.expiresAt))
        .map(({ days, when }, index) => ({ days, when: at(when), number: index + 1 }));
      for (const { days, when, number } of due.slice(task.reminders))
        await tell(task, `reminder-${number}`, when, {
          days,
          instructions: task.instructions,
          ...(task.verification ? { seen: task.verification.message } : {}),
        });
      if (Date.parse(task.expiresAt) <= now) return close(task, "expired", task.verification?.message ?? "nobody did it in time");
      return change(task, () => (due.length > task.reminders ? { reminders: due.length } : undefined));
    },
    list: async (partnerId, { tenantId, state, kind }, pageSize, after) => {
      const filters = [
        rowsBeginning(partnerId, "t_"),
        ...Object.entries({ tenantId, state, kind }).flatMap(([name, value]) =>
          value === undefined ? [] : [where(name, "eq", value)],
        ),
      ];
      const { items, ...rest } = await table.page(all(...filters), pageSize, after);
      return { items: items.map(recordOf), ...rest };
    },
    listOpen: async (partnerId, pageSize, after) => {
      const { items, ...rest } = await table.page(rowsBeginning(partnerId, "o_"), pageSize, after);
      const found = await Promise.all(items.map((row) => find(partnerId, textOf(row, "taskId"))));
      return { items: found.filter((task) => task?.state === "open") as Versioned<TaskRecord>[], ...rest };
    },
  };
}

const keyOf = (partnerId: string, taskId: string) => ({ partitionKey: partnerId, rowKey: `t_${taskId}` });
const openKeyOf = ({ partnerId, tenantId, kind, subject }: TaskKey) => ({
  partitionKey: partnerId,
  rowKey: `o_${tenantId}_${kind}_${createHash("sha256").update(subject).digest("hex").slice(0, 16)}`,
});

const dashed = (kind: TaskKind): string => kind.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);

/** All of it: what the one before had and this one hasn't goes. */
const prefilledOf = ({
  title,
  instructions,
  fields,
  expiresAt,
  link,
  text,
  record,
  operationId,
  about = {},
  waiting,
}: NewTask) => ({
  title,
  instructions,
  fields,
  link,
  text,
  record,
  operationId,
  about,
  waiting,
  ...(expiresAt === undefined ? {} : { expiresAt }),
});

/** By what would be kept of them. */
const same = (one: TaskRecord, other: TaskRecord): boolean => JSON.stringify(rowOf(one)) === JSON.stringify(rowOf(other));

/** Follows from the rest, so that no row can say otherwise. */
function shown(task: TaskRecord): TaskRecord {
  const { remindAt: _remindAt, ...rest } = task;
  const days = task.state === "open" ? REMIND_AFTER_DAYS[task.reminders] : undefined;
  const when = days === undefined ? undefined : Date.parse(task.createdAt) + days * MILLISECONDS_A_DAY;
  return when === undefined || when >= Date.parse(task.expiresAt) ? rest : { ...rest, remindAt: new Date(when).toISOString() };
}

const rowOf = ({ partnerId, id, tenantId, kind, state, remindAt: _remindAt, ...rest }: TaskRecord) => ({
  ...keyOf(partnerId, id),
  tenantId,
  kind,
  state,
  ...packed("details", rest),
});

function recordOf(row: StoredRow): Versioned<TaskRecord> {
  const details = unpacked(row, "details") as Omit<TaskRecord, "partnerId" | "id" | "tenantId" | "kind" | "state">;
  const record = {
    ...details,
    partnerId: row.partitionKey,
    id: row.rowKey.slice(2),
    tenantId: textOf(row, "tenantId"),
    kind: textOf(row, "kind") as TaskKind,
    state: textOf(row, "state") as TaskState,
  };
  return { ...shown(record), etag: row.etag };
}
