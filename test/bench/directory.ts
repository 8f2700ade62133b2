/** What a directory costs: 50,000 users and 5,000 groups in groups, read whole and read again, beside a loop that only writes them. */
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { directoryFiles } from "./directory-store.ts";
import { type BenchmarkOptions, ratios, row, spread } from "./rounds.ts";

interface Cost {
  milliseconds: number;
  processorMilliseconds: number;
  mebibytes: number;
}

const pieces = {
  whole: "everything for the first time",
  again: "500 changed users later",
  bare: "a loop that only writes",
} as const;
type Piece = keyof typeof pieces;

/** What to reach: a quarter of the 2048 MB that an instance of the app has (infra/main.bicep). */
const GOALS = { mebibytes: 512 };

export async function directory({ print, brief }: BenchmarkOptions): Promise<void> {
  const [users, groups, rounds] = brief ? [2000, 200, 1] : [50_000, 5000, 3];
  const folder = mkdtempSync(join(tmpdir(), "gatehouse-directory-"));
  try {
    const costs: Record<Piece, Cost[]> = { whole: [], again: [], bare: [] };
    for (let round = 0; round <= rounds; round++) {
      const place = join(folder, String(round));
      for (const piece of ["whole", "again", "bare"] as const) {
        const cost = await costOf(piece, place, users, groups);
        if (round > 0) costs[piece].push(cost);
      }
      if (round < rounds) rmSync(place, { recursive: true });
    }
    const figures = (piece: Piece, name: keyof Cost): number[] => costs[piece].map((cost) => cost[name]);
    print(
      `A directory of ${users} users and ${groups} groups in groups, ${rounds} rounds in turns, each in a process of its own; median (least–most)`,
    );
    print(row(26, "", "time", "processor", "of the loop's", "memory", "of the loop's"));
    for (const piece of ["whole", "again", "bare"] as const)
      print(
        row(
          26,
          pieces[piece],
          `${spread(figures(piece, "milliseconds"), 0)} ms`,
          `${spread(figures(piece, "processorMilliseconds"), 0)} ms`,
          spread(ratios(figures(piece, "processorMilliseconds"), figures("bare", "processorMilliseconds")), 1),
          `${spread(figures(piece, "mebibytes"), 0)} MiB`,
          spread(ratios(figures(piece, "mebibytes"), figures("bare", "mebibytes")), 1),
        ),
      );
    print(row(26, "goal", "", "", "", `<= ${GOALS.mebibytes} MiB`, ""));
    const { published } = await directoryFiles(join(folder, String(rounds))).get("northwind", "contoso");
    const bare = statSync(join(folder, String(rounds), "bare.ldif")).size;
    print(
      `The document has ${megabytes(published?.bytes ?? 0)} with every nested membership, the loop's ${megabytes(bare)} with direct ones; memory is a process' most, Node's own included.`,
    );
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function costOf(piece: Piece, folder: string, users: number, groups: number): Promise<Cost> {
  const script = join(import.meta.dirname, "directory-work.ts");
  const { stdout } = await promisify(execFile)(process.execPath, [script, piece, folder, String(users), String(groups)]);
  return JSON.parse(stdout) as Cost;
}

const megabytes = (bytes: number): string => `${(bytes / 1_000_000).toFixed(1)} MB`;
