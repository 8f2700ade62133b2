/**
 * What the broker must not forget, in one SQLite file: messages, sequence numbers, ids seen, states of sessions, rules, and settings such
 * as its port and key.
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync, type SQLInputValue } from "node:sqlite";
import { deserialize, serialize } from "node:v8";
import { decodeContent, encodeContent } from "./amqp/content.ts";
import type { Message } from "./message.ts";
import type { Rule } from "./rules.ts";

export interface Store {
  /** Changes are noted, and kept together by the next transaction. */
  save(queue: string, message: Message): void;
  remove(queue: string, sequence: number): void;
  /** No message gets this number or a lower one any more. */
  reserve(queue: string, sequence: number): void;
  /** For the detection of duplicates. */
  rememberId(queue: string, id: string, seenAt: number): void;
  forgetIdsSeenUntil(queue: string, until: number): void;
  /** Of a session; `undefined` forgets it. */
  saveState(queue: string, session: string, state: Buffer | undefined): void;
  saveRules(subscription: string, rules: Rule[]): void;
  /** Resolves when everything noted so far is kept: only then may it be acknowledged. */
  flush(): Promise<void>;
  load(queue: string): Kept;
  /** `undefined` if they were never changed. */
  loadRules(subscription: string): Rule[] | undefined;
  setting(name: string): string | undefined;
  saveSetting(name: string, value: string): void;
  /** All that was noted, but no settings. */
  snapshot(): Uint8Array;
  /** Puts back what a snapshot holds, in place of what is there; what was noted and not kept is forgotten. */
  restore(snapshot: Uint8Array): void;
  close(): void;
}

/** What a queue left behind, in the order of sequence numbers and of time. */
export interface Kept {
  messages: Message[];
  lastSequence: number;
  ids: { id: string; seenAt: number }[];
  states: { id: string; state: Buffer }[];
}

/** What each version of the file added to the one before. */
const SCHEMAS = [
  `
  CREATE TABLE messages (queue TEXT NOT NULL, sequence INTEGER NOT NULL, enqueuedSequence INTEGER NOT NULL, state TEXT NOT NULL,
    deliveryCount INTEGER NOT NULL, enqueuedAt INTEGER NOT NULL, expiresAt INTEGER, scheduledAt INTEGER, deadLetterSource TEXT,
    content BLOB NOT NULL, PRIMARY KEY (queue, sequence));
  CREATE TABLE sequences (queue TEXT PRIMARY KEY, last INTEGER NOT NULL) WITHOUT ROWID;
  CREATE TABLE ids (queue TEXT NOT NULL, id TEXT NOT NULL, seenAt INTEGER NOT NULL, PRIMARY KEY (queue, id)) WITHOUT ROWID;
  CREATE INDEX idsByTime ON ids (queue, seenAt);
  CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;`,
  `
  CREATE TABLE states (queue TEXT NOT NULL, session TEXT NOT NULL, state BLOB NOT NULL, PRIMARY KEY (queue, session)) WITHOUT ROWID;
  CREATE TABLE rules (subscription TEXT PRIMARY KEY, rules BLOB NOT NULL) WITHOUT ROWID;`,
];

/** What a snapshot holds. */
const TABLES = ["messages", "sequences", "ids", "states", "rules"];

/** @param directory where `service-bus.sqlite` is or will be; without it, nothing outlives the store */
export function openStore(directory: string | undefined): Store {
  const database = openDatabase(directory);
  const sql = statements(database);
  let noted: (() => void)[] = [];
  let committed: Promise<void> | undefined;

  const note = (change: () => void): void => {
    noted.push(change);
  };

  function commit(): void {
    const changes = noted;
    noted = [];
    committed = undefined;
    database.exec("BEGIN IMMEDIATE");
    for (const change of changes) change();
    database.exec("COMMIT");
  }

  return {
    save(
      queue,
      { sequence, enqueuedSequence, content, state, deliveryCount, enqueuedAt, expiresAt, scheduledAt, deadLetterSource },
    ) {
      const values = [
        enqueuedSequence,
        state,
        deliveryCount,
        enqueuedAt,
        expiresAt ?? null,
        scheduledAt ?? null,
        deadLetterSource ?? null,
      ];
      const bytes = encodeContent(content);
      note(() => {
        sql.save.run(queue, sequence, ...values, bytes);
        sql.reserve.run(queue, sequence);
      });
    },
    remove: (queue, sequence) => note(() => sql.remove.run(queue, sequence)),
    reserve: (queue, sequence) => note(() => sql.reserve.run(queue, sequence)),
    rememberId: (queue, id, seenAt) => note(() => sql.rememberId.run(queue, id, seenAt)),
    forgetIdsSeenUntil: (queue, until) => note(() => sql.forgetIds.run(queue, until)),
    saveState: (queue, session, state) =>
      note(() => (state ? sql.saveState.run(queue, session, state) : sql.forgetState.run(queue, session))),
    saveRules: (subscription, rules) => note(() => sql.saveRules.run(subscription, serialize(rules))),

    flush() {
      if (noted.length === 0) return Promise.resolve();
      // One transaction for all that happens in the same turn. If it fails, the error ends the process, on purpose: nothing of it was
      // acknowledged, and the next start reads what was kept.
      committed ??= new Promise((resolve) => {
        setImmediate(() => {
          if (noted.length > 0) commit();
          resolve();
        });
      });
      return committed;
    },

    load: (queue) => ({
      messages: sql.messages.all(queue).map(parseMessage),
      lastSequence: Number(sql.lastSequence.get(queue)?.["last"] ?? 0),
      ids: sql.ids.all(queue).map(({ id, seenAt }) => ({ id: String(id), seenAt: Number(seenAt) })),
      states: sql.states
        .all(queue)
        .map(({ session, state }) => ({ id: String(session), state: Buffer.from(state as Uint8Array) })),
    }),
    loadRules(subscription) {
      const rules = sql.rules.get(subscription)?.["rules"];
      return rules === undefined ? undefined : (deserialize(rules as Uint8Array) as Rule[]);
    },
    setting: (name) => sql.setting.get(name)?.["value"] as string | undefined,
    saveSetting: (name, value) => void sql.saveSetting.run(name, value),

    snapshot() {
      if (noted.length > 0) commit();
      return serialize(Object.fromEntries(TABLES.map((table) => [table, database.prepare(`SELECT * FROM ${table}`).all()])));
    },
    restore(snapshot) {
      noted = [];
      const kept = deserialize(snapshot) as Record<string, Record<string, SQLInputValue>[]>;
      database.exec("BEGIN IMMEDIATE");
      for (const table of TABLES) {
        database.exec(`DELETE FROM ${table}`);
        const [first, ...rows] = kept[table] ?? [];
        if (!first) continue;
        const places = Object.keys(first).map(() => "?");
        const insert = database.prepare(`INSERT INTO ${table} VALUES (${places.join(", ")})`);
        for (const row of [first, ...rows]) insert.run(...Object.values(row));
      }
      database.exec("COMMIT");
    },

    close() {
      if (noted.length > 0) commit();
      database.close();
    },
  };
}

const statements = (database: DatabaseSync) => ({
  save: database.prepare("INSERT OR REPLACE INTO messages VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"),
  remove: database.prepare("DELETE FROM messages WHERE queue = ? AND sequence = ?"),
  reserve: database.prepare(
    "INSERT INTO sequences VALUES (?, ?) ON CONFLICT (queue) DO UPDATE SET last = max(last, excluded.last)",
  ),
  rememberId: database.prepare("INSERT OR REPLACE INTO ids VALUES (?, ?, ?)"),
  forgetIds: database.prepare("DELETE FROM ids WHERE queue = ? AND seenAt <= ?"),
  messages: database.prepare("SELECT * FROM messages WHERE queue = ? ORDER BY sequence"),
  lastSequence: database.prepare("SELECT last FROM sequences WHERE queue = ?"),
  ids: database.prepare("SELECT id, seenAt FROM ids WHERE queue = ? ORDER BY seenAt"),
  saveState: database.prepare("INSERT OR REPLACE INTO states VALUES (?, ?, ?)"),
  forgetState: database.prepare("DELETE FROM states WHERE queue = ? AND session = ?"),
  states: database.prepare("SELECT session, state FROM states WHERE queue = ?"),
  saveRules: database.prepare("INSERT OR REPLACE INTO rules VALUES (?, ?)"),
  rules: database.prepare("SELECT rules FROM rules WHERE subscription = ?"),
  setting: database.prepare("SELECT value FROM settings WHERE name = ?"),
  saveSetting: database.prepare("INSERT OR REPLACE INTO settings VALUES (?, ?)"),
});

const parseMessage = (row: Record<string, unknown>): Message => ({
  sequence: row["sequence"] as number,
  enqueuedSequence: row["enqueuedSequence"] as number,
  content: decodeContent(Buffer.from(row["content"] as Uint8Array)),
  state: row["state"] as Message["state"],
  deliveryCount: row["deliveryCount"] as number,
  enqueuedAt: row["enqueuedAt"] as number,
  expiresAt: (row["expiresAt"] as number | null) ?? undefined,
  scheduledAt: (row["scheduledAt"] as number | null) ?? undefined,
  deadLetterSource: (row["deadLetterSource"] as string | null) ?? undefined,
  lock: undefined,
});

/**
 * Opens the file for this process alone. With WAL, synchronous=NORMAL loses nothing when the process is killed
 * (sqlite.org/pragma.html#pragma_synchronous); only a crash of the operating system may take the last transactions, whole ones.
 */
function openDatabase(directory: string | undefined): DatabaseSync {
  if (directory !== undefined) mkdirSync(directory, { recursive: true });
  const file = directory === undefined ? ":memory:" : join(directory, "service-bus.sqlite");
  const database = new DatabaseSync(file, { timeout: 0 });
  try {
    database.exec(
      "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; BEGIN EXCLUSIVE; COMMIT;",
    );
    const { user_version: version } = database.prepare("PRAGMA user_version").get() as { user_version: number };
    if (version > SCHEMAS.length)
      throw new Error(`${file} has the state of a later version of this broker (${version}, not ${SCHEMAS.length})`);
    database.exec(`BEGIN; ${SCHEMAS.slice(version).join("")} PRAGMA user_version = ${SCHEMAS.length}; COMMIT;`);
    return database;
  } catch (error) {
    database.close();
    if ((error as { errcode?: number }).errcode === SQLITE_BUSY)
      throw new Error(`another broker is using ${file}`, { cause: error });
    throw error;
  }
}

const SQLITE_BUSY = 5;
