/** What benchmarks share: variants that are measured in turns, so that a noisy machine is noisy for all of them, and how figures are printed. */

/** Writes one line of a benchmark's figures. */
export type Print = (line: string) => void;

export interface BenchmarkOptions {
  print: Print;
  /** Only to see that it runs: the figures mean nothing. */
  brief: boolean;
}

/** One unmeasured round, then `rounds` of them, ABAB; each variant gives its figure. */
export async function inTurns<Name extends string>(
  rounds: number,
  variants: Record<Name, () => Promise<number> | number>,
): Promise<Record<Name, number[]>> {
  const names = Object.keys(variants) as Name[];
  const figures = Object.fromEntries(names.map((name): [Name, number[]] => [name, []])) as Record<Name, number[]>;
  for (let round = 0; round <= rounds; round += 1) {
    for (const name of names) {
      const figure = await variants[name]();
      if (round > 0) figures[name].push(figure);
    }
  }
  return figures;
}

/** Round by round, since both of a round met the same noise. */
export const ratios = (figures: number[], baseline: number[]): number[] =>
  figures.map((figure, round) => figure / (baseline[round] ?? Number.NaN));

export function median(figures: number[]): number {
  const sorted = figures.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const [lower = Number.NaN, upper = Number.NaN] = [sorted[Math.ceil(sorted.length / 2) - 1], sorted[middle]];
  return (lower + upper) / 2;
}

/** `0.93 (0.88–0.97)`: median, least and most. */
export const spread = (figures: number[], digits = 2): string =>
  `${median(figures).toFixed(digits)} (${Math.min(...figures).toFixed(digits)}–${Math.max(...figures).toFixed(digits)})`;

/** A row of a table: its name, then cells to the right. */
export const row = (width: number, name: string, ...cells: string[]): string =>
  name.padEnd(44) + cells.map((cell) => cell.padStart(width)).join("");

/** How often a second of processor time a piece of work gets done: what other programs take meanwhile doesn't count. */
export async function perSecond(count: number, work: () => Promise<unknown>): Promise<number> {
  const began = process.cpuUsage();
  for (let done = 0; done < count; done += 1) await work();
  const { user, system } = process.cpuUsage(began);
  return (count / (user + system)) * 1_000_000;
}
