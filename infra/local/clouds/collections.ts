/** Collections of JSON documents in one SQLite file, written through at each change, so that `kill -9` loses nothing; and snapshots of them. */
import { DatabaseSync } from "node:sqlite";
import type { Collection } from "./simulator.ts";

export interface Collections {
  /** Others with the same name see each other's changes. */
  readonly collection: <T>(name: string) => Collection<T>;
  /** Everything as it is now, under a number that is kept with it. */
  snapshot(): number;
  has(snapshot: number): boolean;
  /** Everything as it was then. Collections that were opened before write nothing any more. */
  restore(snapshot: number): void;
  /** For the record of requests, which is a table of its own. */
  readonly database: DatabaseSync;
  close(): void;
}

/** `file` is a path or `:memory:`. */
export function openCollections(file: string): Collections {
  const database = new DatabaseSync(file);
  database.exec(`
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = NORMAL;
    CREATE TABLE IF NOT EXISTS documents (collection TEXT NOT NULL, id TEXT NOT NULL, json TEXT NOT NULL, PRIMARY KEY (collection, id));
    CREATE TABLE IF NOT EXISTS snapshots (id INTEGER PRIMARY KEY AUTOINCREMENT, json TEXT NOT NULL);
  `);
  const all = database.prepare("SELECT collection, id, json FROM documents ORDER BY rowid");
  const write = database.prepare(
    "INSERT INTO documents (collection, id, json) VALUES (?, ?, ?) ON CONFLICT (collection, id) DO UPDATE SET json = excluded.json",
  );
  const remove = database.prepare("DELETE FROM documents WHERE collection = ? AND id = ?");

  const keep = database.prepare("INSERT INTO snapshots (json) VALUES (?)");
  const kept = database.prepare("SELECT json FROM snapshots WHERE id = ?");

  /** Text, not objects: whoever gets a document may change it without changing the cloud. */
  let documents = new Map<string, Map<string, string>>();
  for (const { collection, id, json } of all.all()) documentsOf(String(collection)).set(String(id), String(json));
  function documentsOf(name: string): Map<string, string> {
    const known = documents.get(name);
    if (known) return known;
    const made = new Map<string, string>();
    documents.set(name, made);
    return made;
  }

  return {
    database,
    collection: <T>(name: string): Collection<T> => {
      const [opened, texts] = [documents, documentsOf(name)];
      const parse = (json: string): T => JSON.parse(json);
      return {
        get: (id) => {
          const json = texts.get(id);
          return json === undefined ? undefined : parse(json);
        },
        set: (id, value) => {
          const json = JSON.stringify(value);
          if (opened === documents) write.run(name, id, json);
          texts.set(id, json);
        },
        delete: (id) => {
          if (opened === documents) remove.run(name, id);
          return texts.delete(id);
        },
        entries: () => [...texts].map(([id, json]) => [id, parse(json)]),
        values: () => [...texts.values()].map(parse),
      };
    },
    snapshot: () => {
      const contents = [...documents].map(([name, texts]) => [name, [...texts]]);
      return Number(keep.run(JSON.stringify(contents)).lastInsertRowid);
    },
    has: (snapshot) => kept.get(snapshot) !== undefined,
    restore: (snapshot) => {
      const contents = JSON.parse(String(kept.get(snapshot)?.["json"])) as [string, [string, string][]][];
      documents = new Map(contents.map(([name, texts]) => [name, new Map(texts)]));
      database.exec("BEGIN; DELETE FROM documents;");
      for (const [name, texts] of documents) for (const [id, json] of texts) write.run(name, id, json);
      database.exec("COMMIT");
    },
    close: () => database.close(),
  };
}
