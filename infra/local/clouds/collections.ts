/** Collections of JSON documents in one SQLite file, written through at each change, so that `kill -9` loses nothing. */
import { DatabaseSync } from "node:sqlite";
import type { Collection } from "./simulator.ts";

export interface Collections {
  /** The same object for the same name. */
  readonly collection: <T>(name: string) => Collection<T>;
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
  `);
  const all = database.prepare("SELECT collection, id, json FROM documents ORDER BY rowid");
  const write = database.prepare(
    "INSERT INTO documents (collection, id, json) VALUES (?, ?, ?) ON CONFLICT (collection, id) DO UPDATE SET json = excluded.json",
  );
  const remove = database.prepare("DELETE FROM documents WHERE collection = ? AND id = ?");

  /** Text, not objects: whoever gets a document may change it without changing the cloud. */
  const documents = new Map<string, Map<string, string>>();
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
      const texts = documentsOf(name);
      const parse = (json: string): T => JSON.parse(json);
      return {
        get: (id) => {
          const json = texts.get(id);
          return json === undefined ? undefined : parse(json);
        },
        set: (id, value) => {
          const json = JSON.stringify(value);
          write.run(name, id, json);
          texts.set(id, json);
        },
        delete: (id) => {
          remove.run(name, id);
          return texts.delete(id);
        },
        entries: () => [...texts].map(([id, json]) => [id, parse(json)]),
        values: () => [...texts.values()].map(parse),
      };
    },
    close: () => database.close(),
  };
}
