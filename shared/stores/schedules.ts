/** Table `schedules`: partition = `timers`, row = a timer's name: the run that is under way, and the last one that has ended. */
import { where } from "./filter.ts";
import type { Storage } from "./storage.ts";
import { createTable, packed, type StoredRow, unpacked, untilUncontested } from "./table.ts";

export interface TimerRun {
  id: string;
  startedAt: string;
  startedBy: "schedule" | "operator";
}

export interface EndedRun extends TimerRun {
  durationInMilliseconds: number;
  outcome: "succeeded" | "failed";
  /** What it failed with: an error's code or name. */
  reason?: string;
}

export interface TimerRecord {
  running?: TimerRun;
  last?: EndedRun;
  /** Ids of the runs that operators asked for, the newest last: asking twice is asking once. */
  asked?: string[];
}

export interface ScheduleStore {
  /** By the timer's name. */
  all(): Promise<Map<string, TimerRecord>>;
  /** Reads, decides, writes over what was read; `undefined` leaves all as it is. */
  change(timer: string, decide: (known: TimerRecord) => TimerRecord | undefined): Promise<TimerRecord>;
}

const PARTITION = "timers";

export function createScheduleStore(storage: Storage): ScheduleStore {
  const table = createTable(storage, "schedules");
  return {
    all: async () => new Map((await table.all(where("PartitionKey", "eq", PARTITION))).map((row) => [row.rowKey, recordOf(row)])),
    change: (timer, decide) =>
      untilUncontested(`the runs of ${timer}`, async () => {
        const key = { partitionKey: PARTITION, rowKey: timer };
        const row = await table.get(key);
        const known = row ? recordOf(row) : {};
        const changed = decide(known);
        if (changed === undefined) return known;
        const next = { ...key, ...packed("runs", changed) };
        const { outcome } = row ? await table.replace(next, row.etag) : await table.create(next);
        return outcome === "done" ? changed : undefined;
      }),
  };
}

const recordOf = (row: StoredRow): TimerRecord => unpacked(row, "runs") as TimerRecord;
