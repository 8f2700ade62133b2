/** All walks of rotation that are played under schedules by chance, each with what it must not be without, and a schedule that finds that out. */
import { twoClientSecrets } from "./client-secrets-by-chance.ts";
import { twoLoopGuids } from "./loop-guids-by-chance.ts";
import { twoPasswords } from "./passwords-by-chance.ts";
import { firstToGoWrong, type Play } from "./rotations-by-chance.ts";

export interface WalkByChance {
  credential: string;
  firstToGoWrong(numbers: { from: number; to: number }, mutant?: string): Promise<number | undefined>;
  mutants: { mutant: string; caughtBy: number }[];
}

function walk<Mutant extends string>(credential: string, play: Play<Mutant>, caughtBy: Record<Mutant, number>): WalkByChance {
  const mutants = Object.keys(caughtBy) as Mutant[];
  return {
    credential,
    firstToGoWrong: (numbers, mutant) =>
      firstToGoWrong(
        play,
        numbers,
        mutants.find((one) => one === mutant),
      ),
    mutants: mutants.map((mutant) => ({ mutant, caughtBy: caughtBy[mutant] })),
  };
}

export const everyWalk: WalkByChance[] = [
  walk("client secret", twoClientSecrets, { "without the fence": 7, "cleans up while it makes": 24 }),
  walk("password", twoPasswords, { "without the fence": 1, "makes another each time": 15 }),
  walk("loop GUID", twoLoopGuids, {
    "without the fence": 37,
    "without the look before a write": 629,
    "without the wait for who is late": 77,
    "drops the old one before machines have the new one": 0,
  }),
];

export const everyMutant = everyWalk.flatMap(({ mutants, ...one }) => mutants.map((mutant) => ({ ...one, ...mutant })));
