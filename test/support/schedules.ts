/**
 * Schedules by chance, as PCT has them ("A Randomized Scheduler with Probabilistic Guarantees of Finding Bugs", Burckhardt and others,
 * 2010): of all workers that could go on the one of the highest priority does, from one point to the next; at a few steps drawn beforehand
 * whoever has its turn dies, or falls asleep below everybody else. Whatever was begun once may so wake up after everything else.
 */

import { createRandom } from "./random.ts";

/** To be awaited before and after each look at the world and each effect on it: others may have their turns there. */
export type Point = () => Promise<void>;

export interface Schedule {
  /** Draws from the schedule's own chance: from 0 up to, and without, 1. */
  chance(): number;
  /** `again` is what is begun anew when this worker dies, or is taken for dead while it sleeps; without it the worker only sleeps. */
  spawn(work: (point: Point) => Promise<void>, again?: () => void): void;
  /** Until nobody is left who could go on. False when that never comes. */
  run(): Promise<boolean>;
  /** How many steps it took so far. */
  steps(): number;
}

interface Worker {
  priority: number;
  goOn(): void;
  again: (() => void) | undefined;
}

export interface Drawn {
  seed: number;
  /** How many steps change the order. */
  depth: number;
  /** About how many steps a run has: from so many the steps are drawn. */
  length: number;
}

/** Far more than any schedule takes whose workers come to an end. */
const MOST_STEPS = 20_000;

export function createSchedule({ seed, depth, length }: Drawn): Schedule {
  const chance = createRandom(seed);
  const changes = new Set(Array.from({ length: depth }, () => Math.floor(chance() * length)));
  const ready: Worker[] = [];
  let lowest = 0;
  let step = 0;
  let paused = (): void => undefined;

  const spawn: Schedule["spawn"] = (work, again) => {
    const wait = (): void => {
      ready.push(worker);
      paused();
    };
    const point: Point = () =>
      new Promise((resolve) => {
        worker.goOn = resolve;
        wait();
      });
    const worker: Worker = { priority: 1 + chance(), again, goOn: () => void work(point).finally(() => paused()) };
    ready.push(worker);
  };

  function next(): Worker | undefined {
    let first: Worker | undefined;
    for (const worker of ready) if (first === undefined || worker.priority > first.priority) first = worker;
    return first;
  }

  return {
    chance,
    spawn,
    steps: () => step,
    run: async () => {
      for (; step < MOST_STEPS; step++) {
        const worker = next();
        if (worker === undefined) return true;
        if (changes.has(step)) {
          const dies = worker.again !== undefined && chance() < 1 / 3;
          if (dies) ready.splice(ready.indexOf(worker), 1);
          else worker.priority = --lowest;
          const { again } = worker;
          worker.again = undefined; // one redelivery is of another worker
          again?.();
          continue;
        }
        ready.splice(ready.indexOf(worker), 1);
        const turn = Promise.withResolvers<void>();
        paused = turn.resolve;
        worker.goOn();
        await turn.promise;
      }
      return false;
    },
  };
}
