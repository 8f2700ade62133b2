/** What the broker must not forget, in one SQLite file: messages, sequence numbers, ids seen, and settings such as its port and key. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { decodeContent, encodeContent } from "./amqp/content.ts";
import type { Message } from "./message.ts";

export interface Store {
  /** Changes are noted, and kept together by the next transaction. */
  save(queue: string, message: Message): void;
  remove(queue: string, sequence: number): void;
  /** For the detection of duplicates. */
  rememberId(queue: string, id: string, seenAt: number): void;
  forgetIdsSeenUntil(queue: string, until: number): void;
  /** Resolves when everything noted so far is kept: only then may it be acknowledged. */
  flush(): Promise<void>;
  load(queue: string): Kept;
  setting(name: string): string | undefined;
  saveSetting(name: string, value: string): void;
  close(): void;
}

/** What a queue left behind, in the order of sequence numbers and of time. */
export interface Kept {
  messages: Message[];
  lastSequence: number;
  ids: { id: string; seenAt: number }[];
}

const SCHEMA_VERSION = 1;
const SCHEMA = `
  CREATE TABLE messages (queue TEXT NOT NULL, sequence INTEGER NOT NULL, enqueuedSequence INTEGER NOT NULL, state TEXT NOT NULL,
    deliveryCount INTEGER NOT NULL, enqueuedAt INTEGER NOT NULL, expiresAt INTEGER, scheduledAt INTEGER, deadLetterSource TEXT,
    content BLOB NOT NULL, PRIMARY KEY (queue, sequence));
  CREATE TABLE sequences (queue TEXT PRIMARY KEY, last INTEGER NOT NULL) WITHOUT ROWID;
  CREATE TABLE ids (queue TEXT NOT NULL, id TEXT NOT NULL, seenAt INTEGER NOT NULL, PRIMARY KEY (queue, id)) WITHOUT ROWID;
  CREATE INDEX idsByTime ON ids (queue, seenAt);
  CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
  PRAGMA user_version = ${SCHEMA_VERSION};
`;

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
    rememberId: (queue, id, seenAt) => note(() => sql.rememberId.run(queue, id, seenAt)),
    forgetIdsSeenUntil: (queue, until) => note(() => sql.forgetIds.run(queue, until)),

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
    }),
    setting: (name) => sql.setting.get(name)?.["value"] as string | undefined,
    saveSetting: (name, value) => void sql.saveSetting.run(name, value),

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
    if (version === 0) database.exec(`BEGIN; ${SCHEMA} COMMIT;`);
    else if (version !== SCHEMA_VERSION)
      throw new Error(`${file} has the state of another version of this broker (${version}, not ${SCHEMA_VERSION})`);
    return database;
  } catch (error) {
    database.close();
    if ((error as { errcode?: number }).errcode === SQLITE_BUSY)
      throw new Error(`another broker is using ${file}`, { cause: error });
    throw error;
  }
}

const SQLITE_BUSY = 5;
