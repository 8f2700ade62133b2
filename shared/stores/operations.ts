/**
 * Table `ops`: partition = partner, so that an id alone finds an operation among the caller's and nobody else's.
 * Rows: `<operationId>_h` header · `<operationId>_s<nnn>` one a step · `n_<newest first>_<operationId>` summary for the list.
 * The summary is written once it has begun, so that no list has what was refused, or what somebody died over before it could begin. Each
 * change is one transaction over the header's ETag; reading an operation is one range. Before-images are blobs in `before-images`.
 */
import { createHash } from "node:crypto";
import type { Clock } from "../clock.ts";
import { ControlPlaneError, detailOf, type ErrorDetail } from "../errors.ts";
import { refusal } from "../api/error-codes.ts";
import type { Branch, OperationKind, OperationStatus, Step, StepStatus, Undone, WaitingFor } from "../api/operation.ts";
import type { Stage } from "../api/tenant.ts";
import { all, rowsBeginning, where } from "./filter.ts";
import type { Storage } from "./storage.ts";
import {
  type Action,
  createTable,
  newestFirst,
  type Page,
  packed,
  type Row,
  type StoredRow,
  textOf,
  unpacked,
  untilUncontested,
  type Versioned,
} from "./table.ts";

/** Where a before-image is, and what it must hash to. */
export interface BeforeImage {
  /** Name of the blob in the container `before-images`. */
  blob: string;
  /** SHA-256 of its content, hexadecimal. */
  hash: string;
}

export type StepRecord = Step & { beforeImage?: BeforeImage };

/** Somebody wants it to stop. */
export interface Cancellation {
  /** Attempts up to this one are to stop: nothing of them acts any more. */
  attempt: number;
  /** Who asked for it. */
  by: string;
  at: string;
  /** What it did is to be taken back, by the attempt after this one; `stopped` once nothing of it goes on. */
  rollBack?: RollBackWanted & { stopped: boolean };
}

export interface RollBackWanted {
  /** Gives up mail that may wait in a machine that can't say so. */
  abandonQueues: boolean;
}

/** An operation without its steps. */
export interface OperationHeader {
  partnerId: string;
  tenantId: string;
  id: string;
  kind: OperationKind;
  /** Stands for the request that asked for it: the same id with another hash is refused. */
  requestHash: string;
  /** What was asked for, which a further attempt starts from. */
  request?: unknown;
  status: OperationStatus;
  percentComplete: number;
  /** Counts the orchestrations that carried it out, from 1. */
  attempt: number;
  /** The tenant's before it. */
  stageBefore?: Stage;
  cancel?: Cancellation;
  waitingFor?: WaitingFor;
  error?: ErrorDetail;
  result?: Record<string, unknown>;
  createdAt: string;
  lastUpdatedAt: string;
}

export type OperationRecord = OperationHeader & { steps: StepRecord[] };

export interface NewOperation {
  partnerId: string;
  tenantId: string;
  id: string;
  kind: OperationKind;
  requestHash: string;
  request?: unknown;
  stageBefore?: Stage;
  /** In the order in which they are shown. */
  steps: { name: string; title: string; branch: Branch }[];
}

/** What became of a step. Times and tries follow from the status: Running begins a try, the others end it. */
export interface StepChange {
  status: StepStatus;
  change?: Step["change"];
  error?: ErrorDetail;
}

export interface OperationChange {
  status?: OperationStatus;
  attempt?: number;
  /** `null` when nothing is waited for any more. */
  waitingFor?: Omit<WaitingFor, "since"> | null;
  error?: ErrorDetail | null;
  result?: Record<string, unknown>;
}

export interface OperationFilter {
  tenantId?: string | undefined;
  status?: OperationStatus | undefined;
}

export interface OperationStore {
  /**
   * Idempotent by id: a second call gives what is there, `created` false. Throws OperationIdReused when the request differs. In no list
   * before `show`, or before it says anything of itself.
   */
  create(operation: NewOperation): Promise<{ operation: Versioned<OperationRecord>; created: boolean }>;
  /** Throws OperationNotFound. */
  get(partnerId: string, operationId: string): Promise<Versioned<OperationRecord>>;
  /** It begins for certain: from now on lists have it, as it is. */
  show(partnerId: string, operationId: string): Promise<Versioned<OperationRecord>>;
  find(partnerId: string, operationId: string): Promise<Versioned<OperationRecord> | undefined>;
  /** Safe to repeat: what says the same again changes nothing, except that `Running` counts a try. Throws StepUnknown. */
  recordStep(partnerId: string, operationId: string, step: string, change: StepChange): Promise<Versioned<OperationRecord>>;
  recordProgress(partnerId: string, operationId: string, change: OperationChange): Promise<Versioned<OperationRecord>>;
  /**
   * Keeps the first image that a step gives, which is the state before the operation, and with it what the write that follows does;
   * secrets must not be in it.
   */
  recordBeforeImage(
    partnerId: string,
    operationId: string,
    step: string,
    change: "created" | "updated" | "removed",
    image: unknown,
  ): Promise<BeforeImage>;
  readBeforeImage(image: BeforeImage): Promise<unknown>;
  /** One read of one row: every activity asks it before it acts. */
  attemptsOf(partnerId: string, operationId: string): Promise<Pick<OperationHeader, "attempt" | "cancel" | "status"> | undefined>;
  /**
   * Tells it to stop: from now on its activities refuse to act, and its failure is recorded as `Canceled`. One that was never begun, or
   * that nobody carries out any more (`abandoned`), is canceled at once. Throws OperationEnded, except for one that was canceled already.
   * With `rollBack` it goes on running until what it did is taken back, and one that failed or was canceled runs again for that.
   */
  cancel(
    partnerId: string,
    operationId: string,
    cancellation: { by: string; abandoned: boolean; rollBack?: RollBackWanted | undefined },
  ): Promise<Versioned<OperationRecord>>;
  /** The roll-back is the operation's attempt from now on, once what it takes back has stopped; steps that it needs are added. */
  takeOver(
    partnerId: string,
    operationId: string,
    attempt: number,
    steps: NewOperation["steps"],
  ): Promise<Versioned<OperationRecord>>;
  /** A step that shows only on the way to be needed; one that is there already stays as it is. */
  addStep(partnerId: string, operationId: string, step: NewOperation["steps"][number]): Promise<Versioned<OperationRecord>>;
  /** It waits no longer, on somebody's word: it counts as skipped, now and in further attempts. Throws OperationEnded once it has succeeded. */
  skipStep(
    partnerId: string,
    operationId: string,
    step: string,
    skipped: { by: string; reason: string },
  ): Promise<Versioned<OperationRecord>>;
  /** What became of a step's change. */
  recordUndone(partnerId: string, operationId: string, step: string, undone: Omit<Undone, "at">): Promise<void>;
  /**
   * The next attempt, from the start; steps keep how often they were tried and what they changed, and those that the graph didn't have are
   * added. One that was not begun is as it is. Lists have the attempt before until `show`. Throws NothingToRetry, and OperationInProgress
   * unless nobody carries out its present attempt any more (`abandoned`).
   */
  retry(
    partnerId: string,
    operationId: string,
    retrial: { steps: NewOperation["steps"]; abandoned: boolean },
  ): Promise<Versioned<OperationRecord>>;
  /** The next attempt was refused before it began: the operation is again what it was. */
  putBack(before: OperationRecord): Promise<void>;
  /** Newest first. */
  list(partnerId: string, filter: OperationFilter, pageSize: number, after?: string): Promise<Page<OperationHeader>>;
}

export function createOperationStore(storage: Storage, clock: Clock): OperationStore {
  const table = createTable(storage, "ops");
  const now = () => new Date(clock.now()).toISOString();

  async function find(partnerId: string, operationId: string): Promise<Versioned<OperationRecord> | undefined> {
    const rows = await table.all(rowsBeginning(partnerId, `${operationId}_`));
    const header = rows.find(({ rowKey }) => rowKey.endsWith("_h"));
    if (!header) return undefined;
    const steps = rows.filter((row) => row !== header).map(stepOf);
    return { ...headerOf(header), steps, etag: header.etag };
  }

  async function get(partnerId: string, operationId: string): Promise<Versioned<OperationRecord>> {
    const found = await find(partnerId, operationId);
    if (!found) throw refusal("OperationNotFound", `there is no operation ${operationId}`);
    return found;
  }

  /** `decide` gives the next state of the whole; the rows that differ are written in one transaction, with the list's unless it is not to know yet. */
  async function change(
    partnerId: string,
    operationId: string,
    decide: (operation: OperationRecord, at: string) => OperationRecord | undefined,
    { listed = true }: { listed?: boolean } = {},
  ): Promise<Versioned<OperationRecord>> {
    return untilUncontested(`operation ${operationId}`, async () => {
      const known = await get(partnerId, operationId);
      const decided = decide(known, now());
      if (decided === undefined) return known;
      const next = { ...decided, percentComplete: percentOf(decided), lastUpdatedAt: now() };
      const steps = next.steps.flatMap((step, index): Action[] =>
        step === known.steps[index] ? [] : [{ upsert: stepRow(next, step, index) }],
      );
      // Those that one transaction has no room for go ahead: whoever dies in between has changed nothing that counts.
      const room = MOST_ACTIONS - 2;
      while (steps.length > room) await written(operationId, steps.splice(0, room));
      const changed = await table.transact([
        { replace: headerRow(next), etag: known.etag },
        ...(listed ? [{ upsert: summaryRow(next) }] : []),
        ...steps,
      ]);
      return changed.outcome === "done" ? { ...next, etag: changed.etag } : undefined;
    });
  }

  const changeStep = (
    partnerId: string,
    operationId: string,
    name: string,
    decide: (step: StepRecord, at: string, operation: OperationHeader) => StepRecord,
  ) =>
    change(partnerId, operationId, (operation, at) => {
      const index = operation.steps.findIndex((step) => step.name === name);
      const step = operation.steps[index];
      if (!step) throw new ControlPlaneError("StepUnknown", `operation ${operationId} has no step ${name}`);
      const next = decide(step, at, operation);
      return JSON.stringify(next) === JSON.stringify(step)
        ? undefined
        : { ...operation, steps: operation.steps.with(index, next) };
    });

  /** Those that one transaction had no room for; whoever asks again, because we died in between, adds what is missing. */
  async function addSteps(operation: OperationRecord, more: StepRecord[]): Promise<void> {
    for (let first = 0; first < more.length; first += MOST_ACTIONS) {
      const rows = more.slice(first, first + MOST_ACTIONS);
      const begun = operation.steps.length + first;
      await written(
        operation.id,
        rows.map((step, index) => ({ create: stepRow(operation, step, begun + index) })),
      );
    }
  }

  async function written(operationId: string, steps: Action[]): Promise<void> {
    const { outcome } = await table.transact(steps);
    if (outcome !== "done" && outcome !== "exists")
      throw new ControlPlaneError("StepsUnwritten", `the steps of operation ${operationId} were not written`, 503, true);
  }

  return {
    find,
    get,
    create: async ({ steps, ...wanted }) =>
      untilUncontested(`operation ${wanted.id}`, async () => {
        const known = await find(wanted.partnerId, wanted.id);
        if (known) {
          const sameRequest =
            known.requestHash === wanted.requestHash && known.kind === wanted.kind && known.tenantId === wanted.tenantId;
          if (!sameRequest)
            throw refusal("OperationIdReused", `operation ${wanted.id} was asked for with another request`, {
              target: "Operation-Id",
            });
          if (known.steps.length < steps.length) await addSteps(known, steps.slice(known.steps.length).map(pending));
          return {
            operation: known.steps.length < steps.length ? await get(wanted.partnerId, wanted.id) : known,
            created: false,
          };
        }
        const at = now();
        const operation: OperationRecord = {
          ...wanted,
          status: "NotStarted",
          percentComplete: 0,
          attempt: 1,
          createdAt: at,
          lastUpdatedAt: at,
          steps: steps.map(pending),
        };
        const first = operation.steps.slice(0, MOST_ACTIONS - 2);
        const rows = [headerRow(operation), ...first.map((step, index) => stepRow(operation, step, index))];
        const created = await table.transact(rows.map((row) => ({ create: row })));
        if (created.outcome !== "done") return undefined;
        await addSteps({ ...operation, steps: first }, operation.steps.slice(first.length));
        return { operation: { ...operation, etag: created.etag }, created: true };
      }),
    show: (partnerId, operationId) =>
      // What says something of itself has come into the lists by that.
      change(partnerId, operationId, (operation) => (operation.status === "NotStarted" ? { ...operation } : undefined)),
    recordStep: (partnerId, operationId, name, { status, change: changed, error }) =>
      changeStep(partnerId, operationId, name, (step, at, operation) => {
        if (comesTooLate(status, step, operation)) return step;
        const { error: _error, endedAt, ...rest } = step;
        const ended = status === "Succeeded" || status === "Failed" || status === "Skipped";
        return {
          ...rest,
          status,
          ...(status === "Running" ? { tries: step.tries + 1, startedAt: step.startedAt ?? at } : {}),
          ...(ended ? { endedAt: step.status === status && endedAt !== undefined ? endedAt : at } : {}),
          // What was made stays made, though a later look finds it unchanged.
          ...(changed === undefined ? {} : { change: step.change ?? changed }),
          ...(error === undefined ? {} : { error }),
        };
      }),
    recordProgress: (partnerId, operationId, { status, attempt, waitingFor, error, result }) =>
      change(partnerId, operationId, (operation, at) => {
        const { waitingFor: waited, error: failed, ...rest } = operation;
        const { cancel } = operation;
        if (status === "Failed" && cancel?.rollBack && cancel.attempt >= operation.attempt)
          return cancel.rollBack.stopped
            ? undefined
            : { ...rest, cancel: { ...cancel, rollBack: { ...cancel.rollBack, stopped: true } } };
        const next: OperationRecord = {
          ...rest,
          ...(status === undefined ? {} : { status: endedAs(status, operation) }),
          ...(attempt === undefined ? {} : { attempt }),
          ...(result === undefined ? {} : { result }),
          ...optional(
            "waitingFor",
            waitingFor === undefined
              ? waited
              : waitingFor && { ...waitingFor, since: sameWait(waited, waitingFor) ? waited.since : at },
          ),
          ...optional("error", error === undefined ? failed : error),
        };
        return JSON.stringify(headerRow(next)) === JSON.stringify(headerRow(operation)) ? undefined : next;
      }),
    attemptsOf: async (partnerId, operationId) => {
      const row = await table.get({ partitionKey: partnerId, rowKey: `${operationId}_h` });
      return row && headerOf(row);
    },
    cancel: (partnerId, operationId, { by, abandoned, rollBack }) =>
      change(partnerId, operationId, (operation, at) => {
        const { status, attempt, waitingFor: _waitingFor, error: _error, result: _result, ...rest } = operation;
        const known = operation.cancel;
        if (status === "Succeeded" || (status === "Failed" && !rollBack))
          throw refusal("OperationEnded", `operation ${operationId} has ended already, as ${status}: there is nothing to cancel`);
        if (status === "Canceled" && (!rollBack || known?.rollBack)) return undefined;
        const cancel: Cancellation = { attempt, by, at };
        if (rollBack && (status !== "NotStarted" || attempt > 1)) {
          if (status === "Running" && known?.rollBack && !abandoned) return undefined;
          return {
            ...rest,
            attempt,
            status: "Running",
            cancel: { ...cancel, rollBack: { ...rollBack, stopped: status !== "Running" || abandoned } },
          };
        }
        if (status === "Running" && !abandoned) return known ? undefined : { ...operation, cancel };
        return { ...rest, attempt, cancel: known ?? cancel, status: "Canceled", error: detailOf(canceled(operationId)) };
      }),
    takeOver: (partnerId, operationId, attempt, steps) =>
      change(partnerId, operationId, (operation) => {
        if (operation.attempt >= attempt || operation.status !== "Running" || !operation.cancel?.rollBack?.stopped)
          return undefined;
        const known = new Set(operation.steps.map(({ name }) => name));
        return {
          ...operation,
          attempt,
          steps: [...operation.steps, ...steps.filter(({ name }) => !known.has(name)).map(pending)],
        };
      }),
    addStep: (partnerId, operationId, step) =>
      change(partnerId, operationId, ({ steps, ...operation }) =>
        steps.some(({ name }) => name === step.name) ? undefined : { ...operation, steps: [...steps, pending(step)] },
      ),
    skipStep: (partnerId, operationId, name, skipped) =>
      change(partnerId, operationId, (operation, at) => {
        if (operation.status === "Succeeded")
          throw refusal("OperationEnded", `operation ${operationId} has succeeded: there is nothing to skip`);
        const steps = operation.steps.map(
          (step): StepRecord =>
            step.name === name && !step.skipped && step.status !== "Succeeded"
              ? { ...step, status: "Skipped", endedAt: at, skipped: { ...skipped, at } }
              : step,
        );
        return steps.every((step, index) => step === operation.steps[index]) ? undefined : { ...operation, steps };
      }),
    recordUndone: async (partnerId, operationId, name, undone) => {
      await changeStep(partnerId, operationId, name, (step, at) =>
        step.undone?.as === undone.as ? step : { ...step, undone: { ...undone, at } },
      );
    },
    retry: (partnerId, operationId, { steps: wanted, abandoned }) =>
      change(
        partnerId,
        operationId,
        (operation) => {
          const { cancel: _cancel, waitingFor: _waitingFor, error: _error, result: _result, ...rest } = operation;
          const { status, kind, tenantId, attempt } = operation;
          if (operation.cancel?.rollBack)
            throw refusal(
              "NothingToRetry",
              `operation ${operationId} is taken back: cancel it with rollBack again if that failed`,
            );
          if (status === "NotStarted") return undefined;
          if (status === "Succeeded")
            throw refusal("NothingToRetry", `operation ${operationId} has succeeded: there is nothing to try again`);
          if (status === "Running" && !abandoned)
            throw refusal("OperationInProgress", `operation ${operationId} (${kind}) is under way on tenant ${tenantId}`, {
              target: operationId,
            });
          const names = new Set(wanted.map(({ name }) => name));
          const again = operation.steps.map((step) => anew(step, names.has(step.name)));
          const known = new Set(again.map(({ name }) => name));
          const more = wanted.filter(({ name }) => !known.has(name)).map(pending);
          return { ...rest, status: "NotStarted", attempt: attempt + 1, steps: [...again, ...more] };
        },
        { listed: false },
      ),
    putBack: async ({ partnerId, id, ...before }) => {
      await change(partnerId, id, (operation) =>
        operation.status === "NotStarted" && operation.attempt === before.attempt + 1
          ? // Steps that were added stay: they are part of the attempt after this.
            { ...operation, ...before, steps: operation.steps.map((step, index) => before.steps[index] ?? step) }
          : undefined,
      );
    },
    recordBeforeImage: async (partnerId, operationId, name, changed, image) => {
      const { steps } = await get(partnerId, operationId);
      const known = steps.find((step) => step.name === name)?.beforeImage;
      if (known) return known;
      const blob = `${partnerId}/${operationId}/${encodeURIComponent(name)}.json`;
      const content = await writeOnce(blob, JSON.stringify(image ?? null));
      const beforeImage = { blob, hash: hashOf(content) };
      await changeStep(partnerId, operationId, name, (step) => ({
        ...step,
        change: step.change ?? changed,
        beforeImage: step.beforeImage ?? beforeImage,
      }));
      return beforeImage;
    },
    readBeforeImage: async ({ blob, hash }) => {
      const content = (await (await storage.container("before-images")).getBlobClient(blob).downloadToBuffer()).toString();
      if (hashOf(content) !== hash)
        throw new ControlPlaneError("BeforeImageDamaged", `the before-image ${blob} is not what was recorded`);
      return JSON.parse(content) as unknown;
    },
    list: async (partnerId, { tenantId, status }, pageSize, after) => {
      const filters = [
        rowsBeginning(partnerId, "n_"),
        ...(tenantId === undefined ? [] : [where("tenantId", "eq", tenantId)]),
        ...(status === undefined ? [] : [where("status", "eq", status)]),
      ];
      const { items, ...rest } = await table.page(all(...filters), pageSize, after);
      return { items: items.map(headerOf), ...rest };
    },
  };

  /** The content that the blob has afterwards: ours, or the one that was there first. */
  async function writeOnce(name: string, content: string): Promise<string> {
    const blob = (await storage.container("before-images")).getBlockBlobClient(name);
    try {
      await blob.upload(content, Buffer.byteLength(content), {
        conditions: { ifNoneMatch: "*" },
        blobHTTPHeaders: { blobContentType: "application/json" },
      });
      return content;
    } catch (error) {
      if (!(error instanceof Error && "statusCode" in error && (error.statusCode === 409 || error.statusCode === 412)))
        throw error;
      return (await blob.downloadToBuffer()).toString();
    }
  }
}

export const ended = ({ status }: Pick<OperationHeader, "status">): boolean =>
  status === "Succeeded" || status === "Failed" || status === "Canceled";

/** What is said of it, and what each of its activities says instead of acting. */
export const canceled = (operationId: string): ControlPlaneError =>
  new ControlPlaneError("OperationCanceled", `operation ${operationId} was canceled`, 409);

/** A second delivery of an activity may speak when all has gone on: nothing begins after the end, and what was done was not skipped. */
const comesTooLate = (status: StepStatus, step: StepRecord, operation: OperationHeader): boolean =>
  (status === "Running" && ended(operation)) ||
  (status === "Skipped" && step.status === "Succeeded" && step.change !== undefined);

/** Whoever was told to stop and did has been canceled, whatever it says of itself. */
const endedAs = (status: OperationStatus, { cancel, attempt }: OperationHeader): OperationStatus =>
  status === "Failed" && cancel !== undefined && cancel.attempt >= attempt ? "Canceled" : status;

/** As it is before its next try; what the graph no longer has is skipped. */
const anew = ({ error: _error, endedAt: _endedAt, undone: _undone, ...step }: StepRecord, wanted: boolean): StepRecord => ({
  ...step,
  status: wanted ? "Pending" : "Skipped",
});

const pending = ({ name, title, branch }: NewOperation["steps"][number]): StepRecord => ({
  name,
  title,
  branch,
  status: "Pending",
  tries: 0,
});

/** Of one transaction (Table service: "Performing entity group transactions"). */
const MOST_ACTIONS = 100;

const hashOf = (content: string): string => createHash("sha256").update(content).digest("hex");

const optional = <Name extends string, Value>(name: Name, value: Value | null | undefined): Partial<Record<Name, Value>> =>
  value === null || value === undefined ? {} : ({ [name]: value } as Record<Name, Value>);

const sameWait = (before: WaitingFor | undefined, now: Omit<WaitingFor, "since">): before is WaitingFor =>
  before !== undefined && before.kind === now.kind && before.url === now.url && before.message === now.message;

function percentOf({ status, steps }: OperationRecord): number {
  if (status === "Succeeded") return 100;
  if (steps.length === 0) return 0;
  const finished = steps.filter((step) => step.status === "Succeeded" || step.status === "Skipped").length;
  return Math.min(99, Math.floor((100 * finished) / steps.length));
}

const properties = ({
  id,
  tenantId,
  kind,
  requestHash,
  status,
  percentComplete,
  attempt,
  cancel,
  waitingFor,
  error,
  createdAt,
  lastUpdatedAt,
}: OperationHeader) => ({
  operationId: id,
  tenantId,
  kind,
  requestHash,
  status,
  percentComplete,
  attempt,
  createdAt,
  lastUpdatedAt,
  ...packed("cancel", cancel),
  ...packed("waitingFor", waitingFor),
  ...packed("error", error),
});

const headerRow = (operation: OperationHeader): Row => ({
  partitionKey: operation.partnerId,
  rowKey: `${operation.id}_h`,
  ...properties(operation),
  stageBefore: operation.stageBefore,
  ...packed("request", operation.request),
  ...packed("result", operation.result),
});

const summaryRow = (operation: OperationHeader): Row => ({
  partitionKey: operation.partnerId,
  rowKey: `n_${newestFirst(Date.parse(operation.createdAt))}_${operation.id}`,
  ...properties(operation),
});

const stepRow = ({ partnerId, id }: OperationHeader, step: StepRecord, index: number): Row => ({
  partitionKey: partnerId,
  rowKey: `${id}_s${String(index).padStart(3, "0")}`,
  ...packed("step", step),
});

const stepOf = (row: StoredRow): StepRecord => unpacked(row, "step") as StepRecord;

function headerOf(row: StoredRow): OperationHeader {
  return {
    partnerId: row.partitionKey,
    tenantId: textOf(row, "tenantId"),
    id: textOf(row, "operationId"),
    kind: textOf(row, "kind") as OperationKind,
    requestHash: textOf(row, "requestHash"),
    ...optional("request", unpacked(row, "request")),
    ...(row.stageBefore === undefined ? {} : { stageBefore: textOf(row, "stageBefore") as Stage }),
    status: textOf(row, "status") as OperationStatus,
    percentComplete: Number(row.percentComplete),
    attempt: Number(row.attempt),
    ...optional("cancel", unpacked(row, "cancel") as Cancellation | undefined),
    ...optional("waitingFor", unpacked(row, "waitingFor") as WaitingFor | undefined),
    ...optional("error", unpacked(row, "error") as ErrorDetail | undefined),
    ...optional("result", unpacked(row, "result") as Record<string, unknown> | undefined),
    createdAt: textOf(row, "createdAt"),
    lastUpdatedAt: textOf(row, "lastUpdatedAt"),
  };
}
