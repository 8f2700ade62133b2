/** The host's state in one SQLite file: instances, their histories, messages on their way to them, activities to run; when timers ran. */

import { mkdirSync } from "node:fs";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";
import { deflateRawSync, inflateRawSync } from "node:zlib";
import { FunctionsSystemError } from "./functions-core.ts";
import type { EntityRequest } from "./entity-messages.ts";
import type { HistoryEvent } from "./history.ts";

export type RuntimeStatus = "Pending" | "Running" | "Suspended" | "Completed" | "Failed" | "Terminated";

/** One orchestration; the JSON texts are `null` where there is no value. */
export interface Instance {
  id: string;
  /** Another for each execution: continueAsNew begins a new one. */
  executionId: string;
  /** The orchestrator function's name. */
  name: string;
  version: string | undefined;
  status: RuntimeStatus;
  input: string | null;
  output: string | null;
  customStatus: string | null;
  /** Milliseconds since 1970. */
  createdAt: number;
  updatedAt: number;
  /** Who waits for the result of this sub-orchestration. */
  parent: { id: string; executionId: string; taskId: number } | undefined;
}

/** An event on its way into an instance's history. */
export interface Message {
  instanceId: string;
  /** The execution it is meant for; undefined for whichever is running. */
  executionId: string | undefined;
  /** A second message with the key of one that waits is dropped. */
  key: string;
  /** Milliseconds since 1970 from which it may be consumed. */
  visibleAt: number;
  event: HistoryEvent;
}

export interface StoredMessage extends Message {
  sequence: number;
}

/** What an entity is between its batches. */
export interface Entity {
  /** `@name@key`. */
  id: string;
  /** False for one that only waits to be unlocked, or was deleted. */
  exists: boolean;
  /** JSON text. */
  state: string | null;
  /** The orchestration that holds it. */
  lockedBy: string | null;
  /** What others ask meanwhile. */
  queue: EntityRequest[];
  /** When its last operation ran; milliseconds since 1970. */
  changedAt: number;
}

export interface ActivityTask {
  instanceId: string;
  executionId: string;
  taskId: number;
  /** The activity function's name. */
  name: string;
  /** JSON text of an array with the one argument. */
  input: string;
}

/** When a timer ran and runs; milliseconds since 1970. */
export interface TimerStatus {
  /** Undefined if it hasn't run yet by this schedule. */
  last: number | undefined;
  next: number;
  /** `next` is the schedule's first occurrence after this. */
  updatedAt: number;
}

export interface InstanceFilter {
  statuses?: readonly string[] | undefined;
  createdFrom?: number | undefined;
  createdTo?: number | undefined;
  idPrefix?: string | undefined;
  afterId?: string | undefined;
  limit?: number | undefined;
}

export type DurableStore = ReturnType<typeof openStore>;

const SCHEMA_VERSION = 4;

/** What version 1 didn't have. */
const TIMERS = "CREATE TABLE timers (name TEXT PRIMARY KEY, status TEXT NOT NULL) WITHOUT ROWID;";
/** What version 2 didn't have. */
const ENTITIES = `
  CREATE TABLE entities (id TEXT PRIMARY KEY, entity TEXT NOT NULL) WITHOUT ROWID;
  CREATE TABLE requests (entityId TEXT NOT NULL, requestId TEXT NOT NULL, at INTEGER NOT NULL, PRIMARY KEY (entityId, requestId)) WITHOUT ROWID;
  CREATE INDEX requestsByTime ON requests (at);
`;
/** What version 3 didn't have: the histories of instances that have finished, each deflated. */
const HISTORIES = `
  CREATE TABLE histories (instanceId TEXT PRIMARY KEY, finishedAt INTEGER NOT NULL, events BLOB NOT NULL);
  CREATE INDEX historiesByTime ON histories (finishedAt);
`;

/** In their order: what takes a file of version 1, 2, … to the next. */
const MIGRATIONS = [TIMERS, ENTITIES, HISTORIES];

const SCHEMA = `
  CREATE TABLE instances (id TEXT PRIMARY KEY, status TEXT NOT NULL, createdAt INTEGER NOT NULL, document TEXT NOT NULL) WITHOUT ROWID;
  CREATE TABLE history (instanceId TEXT NOT NULL, position INTEGER NOT NULL, event TEXT NOT NULL, PRIMARY KEY (instanceId, position)) WITHOUT ROWID;
  CREATE TABLE messages (sequence INTEGER PRIMARY KEY, instanceId TEXT NOT NULL, key TEXT NOT NULL, executionId TEXT, visibleAt INTEGER NOT NULL,
    event TEXT NOT NULL, UNIQUE (instanceId, key));
  CREATE INDEX messagesByTime ON messages (visibleAt);
  CREATE TABLE activities (instanceId TEXT NOT NULL, executionId TEXT NOT NULL, taskId INTEGER NOT NULL, name TEXT NOT NULL, input TEXT NOT NULL,
    PRIMARY KEY (instanceId, executionId, taskId)) WITHOUT ROWID;
  ${MIGRATIONS.join("")}
`;

/** @param file path of the state file, or `:memory:` */
export function openStore(file: string) {
  const database = openDatabase(file);
  const { user_version: version } = database.prepare("PRAGMA user_version").get() as { user_version: number };
  if (version > SCHEMA_VERSION)
    throw new FunctionsSystemError(`${file} has the state of another version of this host (${version}, not ${SCHEMA_VERSION})`);
  if (version < SCHEMA_VERSION) {
    // Pages that a purge has freed go back to the disk; a file that was made without this has to be written anew for it.
    database.exec("PRAGMA auto_vacuum = INCREMENTAL;");
    const steps = version === 0 ? SCHEMA : MIGRATIONS.slice(version - 1).join("");
    database.exec(`BEGIN; ${steps} PRAGMA user_version = ${SCHEMA_VERSION}; COMMIT; VACUUM;`);
  }

  const sql = {
    instance: database.prepare("SELECT document FROM instances WHERE id = ?"),
    saveInstance: database.prepare("INSERT OR REPLACE INTO instances (id, status, createdAt, document) VALUES (?, ?, ?, ?)"),
    deleteInstance: database.prepare("DELETE FROM instances WHERE id = ?"),
    instances:
      database.prepare(`SELECT document FROM instances WHERE id > :afterId AND createdAt BETWEEN :createdFrom AND :createdTo
      AND substr(id, 1, length(:idPrefix)) = :idPrefix AND (:statuses = '[]' OR status IN (SELECT value FROM json_each(:statuses)))
      ORDER BY id LIMIT :limit`),
    history: database.prepare("SELECT event FROM history WHERE instanceId = ? ORDER BY position"),
    appendHistory: database.prepare("INSERT INTO history (instanceId, position, event) VALUES (?, ?, ?)"),
    deleteHistory: database.prepare("DELETE FROM history WHERE instanceId = ?"),
    compacted: database.prepare("SELECT events FROM histories WHERE instanceId = ?"),
    saveCompacted: database.prepare("INSERT OR REPLACE INTO histories (instanceId, finishedAt, events) VALUES (?, ?, ?)"),
    deleteCompacted: database.prepare("DELETE FROM histories WHERE instanceId = ?"),
    deleteCompactedUntil: database.prepare("DELETE FROM histories WHERE finishedAt < ?"),
    messages: database.prepare("SELECT * FROM messages WHERE instanceId = ? AND visibleAt <= ? ORDER BY sequence"),
    addMessage: database.prepare(
      "INSERT OR IGNORE INTO messages (instanceId, executionId, key, visibleAt, event) VALUES (?, ?, ?, ?, ?)",
    ),
    deleteMessage: database.prepare("DELETE FROM messages WHERE sequence = ?"),
    deleteMessages: database.prepare("DELETE FROM messages WHERE instanceId = ?"),
    deleteMessagesOfExecution: database.prepare("DELETE FROM messages WHERE instanceId = ? AND executionId = ?"),
    receivers: database.prepare("SELECT DISTINCT instanceId FROM messages WHERE visibleAt > ? AND visibleAt <= ?"),
    nextVisible: database.prepare("SELECT min(visibleAt) AS visibleAt FROM messages WHERE visibleAt > ?"),
    activities: database.prepare("SELECT * FROM activities"),
    addActivity: database.prepare("INSERT INTO activities (instanceId, executionId, taskId, name, input) VALUES (?, ?, ?, ?, ?)"),
    deleteActivity: database.prepare("DELETE FROM activities WHERE instanceId = ? AND executionId = ? AND taskId = ?"),
    deleteActivities: database.prepare("DELETE FROM activities WHERE instanceId = ?"),
    entity: database.prepare("SELECT entity FROM entities WHERE id = ?"),
    entities: database.prepare(
      "SELECT entity FROM entities WHERE id > :afterId AND substr(id, 1, length(:idPrefix)) = :idPrefix ORDER BY id LIMIT :limit",
    ),
    saveEntity: database.prepare("INSERT OR REPLACE INTO entities (id, entity) VALUES (?, ?)"),
    deleteEntity: database.prepare("DELETE FROM entities WHERE id = ?"),
    request: database.prepare("SELECT 1 FROM requests WHERE entityId = ? AND requestId = ?"),
    addRequest: database.prepare("INSERT OR IGNORE INTO requests (entityId, requestId, at) VALUES (?, ?, ?)"),
    deleteRequests: database.prepare("DELETE FROM requests WHERE at < ?"),
    timer: database.prepare("SELECT status FROM timers WHERE name = ?"),
    saveTimer: database.prepare("INSERT OR REPLACE INTO timers (name, status) VALUES (?, ?)"),
  };

  return {
    /** All of `work` or, when it throws or the process dies, nothing of it. */
    transaction<Result>(work: () => Result): Result {
      database.exec("BEGIN IMMEDIATE");
      try {
        const result = work();
        database.exec("COMMIT");
        return result;
      } catch (error) {
        database.exec("ROLLBACK");
        throw error;
      }
    },

    getInstance: (id: string): Instance | undefined => parseDocument(sql.instance.get(id)),
    saveInstance: (instance: Instance): void =>
      void sql.saveInstance.run(instance.id, instance.status, instance.createdAt, JSON.stringify(instance)),
    listInstances({
      statuses = [],
      createdFrom = 0,
      createdTo = Number.MAX_SAFE_INTEGER,
      idPrefix = "",
      afterId = "",
      limit = -1,
    }: InstanceFilter): Instance[] {
      const rows = sql.instances.all({ statuses: JSON.stringify(statuses), createdFrom, createdTo, idPrefix, afterId, limit });
      return rows.map((row) => parseDocument(row) as Instance);
    },
    /** Forgets an instance with all that belongs to it. */
    deleteInstance(id: string): void {
      const { deleteInstance, deleteHistory, deleteCompacted, deleteMessages, deleteActivities } = sql;
      for (const statement of [deleteInstance, deleteHistory, deleteCompacted, deleteMessages, deleteActivities])
        statement.run(id);
    },
    /** Gives the space of what was deleted back to the disk. */
    shrink: (): void => database.exec("PRAGMA incremental_vacuum;"),

    getHistory(instanceId: string): HistoryEvent[] {
      const row = sql.compacted.get(instanceId);
      if (row) return JSON.parse(inflateRawSync(row["events"] as Uint8Array).toString()) as HistoryEvent[];
      return sql.history.all(instanceId).map(({ event }) => JSON.parse(event as string) as HistoryEvent);
    },
    /** Keeps a finished instance's history as one row, about a tenth of the size; it grows no more. */
    compactHistory(instanceId: string, finishedAt: number): void {
      const events = sql.history.all(instanceId).map(({ event }) => event as string);
      sql.saveCompacted.run(instanceId, finishedAt, deflateRawSync(`[${events.join(",")}]`));
      sql.deleteHistory.run(instanceId);
    },
    /** Forgets the histories of instances that finished before that. */
    dropHistories: (finishedBefore: number): void => void sql.deleteCompactedUntil.run(finishedBefore),
    replaceHistory(instanceId: string, events: HistoryEvent[]): void {
      sql.deleteCompacted.run(instanceId);
      sql.deleteHistory.run(instanceId);
      this.appendHistory(instanceId, 0, events);
    },
    appendHistory(instanceId: string, position: number, events: HistoryEvent[]): void {
      for (const [offset, event] of events.entries()) sql.appendHistory.run(instanceId, position + offset, JSON.stringify(event));
    },
    deleteHistory: (instanceId: string): void => void sql.deleteHistory.run(instanceId),

    /** What an instance may consume at `now`, in the order it was sent. */
    getMessages: (instanceId: string, now: number): StoredMessage[] =>
      sql.messages.all(instanceId, now).map((row) => ({
        sequence: row["sequence"] as number,
        instanceId,
        executionId: (row["executionId"] as string | null) ?? undefined,
        key: row["key"] as string,
        visibleAt: row["visibleAt"] as number,
        event: JSON.parse(row["event"] as string) as HistoryEvent,
      })),
    addMessage: ({ instanceId, executionId, key, visibleAt, event }: Message): void =>
      void sql.addMessage.run(instanceId, executionId ?? null, key, visibleAt, JSON.stringify(event)),
    deleteMessage: (sequence: number): void => void sql.deleteMessage.run(sequence),
    deleteMessages: (instanceId: string): void => void sql.deleteMessages.run(instanceId),
    deleteMessagesOfExecution: (instanceId: string, executionId: string): void =>
      void sql.deleteMessagesOfExecution.run(instanceId, executionId),
    /** Instances with messages that became visible after `after` and until `now`. */
    listReceivers: (after: number, now: number): string[] =>
      sql.receivers.all(after, now).map(({ instanceId }) => instanceId as string),
    nextVisibleAt: (now: number): number | undefined => (sql.nextVisible.get(now)?.["visibleAt"] as number | null) ?? undefined,

    listActivities: (): ActivityTask[] => sql.activities.all() as unknown as ActivityTask[],
    addActivity: ({ instanceId, executionId, taskId, name, input }: ActivityTask): void =>
      void sql.addActivity.run(instanceId, executionId, taskId, name, input),
    /** @returns false if nobody waits for it any more */
    deleteActivity: ({ instanceId, executionId, taskId }: ActivityTask): boolean =>
      sql.deleteActivity.run(instanceId, executionId, taskId).changes > 0,
    deleteActivities: (instanceId: string): void => void sql.deleteActivities.run(instanceId),

    /** @param id `@name@key` */
    getEntity(id: string): Entity | undefined {
      const row = sql.entity.get(id);
      return row && (JSON.parse(row["entity"] as string) as Entity);
    },
    listEntities: (idPrefix: string, afterId: string, limit: number): Entity[] =>
      sql.entities.all({ idPrefix, afterId, limit }).map(({ entity }) => JSON.parse(entity as string) as Entity),
    saveEntity: (entity: Entity): void => void sql.saveEntity.run(entity.id, JSON.stringify(entity)),
    deleteEntity: (id: string): void => void sql.deleteEntity.run(id),
    hasRequest: (entityId: string, requestId: string): boolean => sql.request.get(entityId, requestId) !== undefined,
    /** Notes what an entity has taken, and forgets what any has taken before `until`. */
    rememberRequests(entityId: string, requestIds: string[], at: number, until: number): void {
      for (const requestId of requestIds) sql.addRequest.run(entityId, requestId, at);
      sql.deleteRequests.run(until);
    },

    /** @param name the function's, whose case doesn't matter */
    getTimer(name: string): TimerStatus | undefined {
      const row = sql.timer.get(name.toLowerCase());
      return row && (JSON.parse(row["status"] as string) as TimerStatus);
    },
    saveTimer: (name: string, status: TimerStatus): void => void sql.saveTimer.run(name.toLowerCase(), JSON.stringify(status)),

    close: (): void => database.close(),
  };
}

const parseDocument = (row: object | undefined): Instance | undefined =>
  row && (JSON.parse((row as { document: string }).document) as Instance);

const SQLITE_BUSY = 5;

/**
 * Opens the file for this process alone: the kernel drops the lock when the process dies, unlike a file with a process id. With WAL,
 * synchronous=NORMAL loses nothing when the process is killed (sqlite.org/pragma.html#pragma_synchronous); only a crash of the
 * operating system may take the last steps, whole ones.
 */
function openDatabase(file: string): DatabaseSync {
  if (file !== ":memory:") mkdirSync(path.dirname(path.resolve(file)), { recursive: true });
  const database = new DatabaseSync(file, { timeout: 0 });
  try {
    database.exec(
      "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; BEGIN EXCLUSIVE; COMMIT;",
    );
    return database;
  } catch (error) {
    database.close();
    if ((error as { errcode?: number }).errcode === SQLITE_BUSY) throw new FunctionsSystemError(`another host is using ${file}`);
    throw error;
  }
}
