/** The record of requests: everything that was asked of the simulated clouds and what they answered, secrets redacted. */
import type { DatabaseSync } from "node:sqlite";
import { redacted, type Redaction } from "./redaction.ts";
import type { CloudName } from "./simulator.ts";

export interface Exchange {
  seq: number;
  /** ISO 8601. */
  at: string;
  cloud: CloudName;
  method: string;
  url: string;
  /** Entra tenant that the bearer token names, for addresses that don't: Graph's. */
  tenant?: string;
  requestBody?: unknown;
  /** HTTP status; 0 when the connection was cut before an answer was made. */
  status: number;
  responseBody?: unknown;
  responseHeaders: Record<string, string>;
  effect: "none" | "write";
  /** The fault that was applied, if any. */
  fault?: string;
}

export interface RequestRecord {
  add(exchange: Omit<Exchange, "seq">): void;
  /** What came after number `since`, oldest first; `next` is the `since` of the next question. */
  list(options: { cloud?: string | undefined; since: number }): { value: Exchange[]; next: number };
  /** The number of the last one. */
  position(): number;
  /** Forgets what came after number `seq`; numbers are not given again. */
  forgetAfter(seq: number): void;
}

/** The oldest are forgotten when there are more. */
const capacity = 50_000;

export function createRecord(database: DatabaseSync, redaction: Redaction): RequestRecord {
  database.exec(
    "CREATE TABLE IF NOT EXISTS requests (seq INTEGER PRIMARY KEY AUTOINCREMENT, cloud TEXT NOT NULL, json TEXT NOT NULL)",
  );
  const insert = database.prepare("INSERT INTO requests (cloud, json) VALUES (?, ?)");
  const forget = database.prepare("DELETE FROM requests WHERE seq <= ?");
  const select = database.prepare("SELECT seq, json FROM requests WHERE seq > ? AND (? IS NULL OR cloud = ?) ORDER BY seq");
  const forgetLater = database.prepare("DELETE FROM requests WHERE seq > ?");
  const last = database.prepare("SELECT max(seq) AS seq FROM requests");
  const position = (): number => Number(last.get()?.["seq"] ?? 0);
  return {
    add: (exchange) => {
      const { lastInsertRowid } = insert.run(exchange.cloud, JSON.stringify(redaction.redact(withoutValues(exchange))));
      const seq = Number(lastInsertRowid);
      if (seq % 1000 === 0) forget.run(seq - capacity);
    },
    list: ({ cloud = null, since }) => {
      const value = select
        .all(since, cloud, cloud)
        .map(({ seq, json }): Exchange => ({ seq: Number(seq), ...JSON.parse(String(json)) }));
      return { value, next: Math.max(since, position()) };
    },
    position,
    forgetAfter: (seq) => void forgetLater.run(seq),
  };
}

/** A secret's value is called `value`, as many harmless things are elsewhere; and it may be too short to be known by value. */
function withoutValues<T extends { cloud: CloudName; requestBody?: unknown; responseBody?: unknown }>(exchange: T): T {
  if (exchange.cloud !== "vault") return exchange;
  const hide = (body: unknown): unknown =>
    typeof body === "object" && body !== null && "value" in body && typeof body.value === "string"
      ? { ...body, value: redacted }
      : body;
  return { ...exchange, requestBody: hide(exchange.requestBody), responseBody: hide(exchange.responseBody) };
}
