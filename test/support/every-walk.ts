/** All walks of rotation that are played under schedules by chance, each with what it must not be without. */
import { twoClientSecrets } from "./client-secrets-by-chance.ts";
import { twoLoopGuids } from "./loop-guids-by-chance.ts";
import { twoPasswords } from "./passwords-by-chance.ts";
import { firstToGoWrong, type Play } from "./rotations-by-chance.ts";

export interface WalkByChance {
  credential: string;
  mutants: string[];
  firstToGoWrong(numbers: { from: number; to: number }, mutant?: string): Promise<number | undefined>;
}

const walk = <Mutant extends string>(credential: string, play: Play<Mutant>, mutants: NoInfer<Mutant>[]): WalkByChance => ({
  credential,
  mutants,
  firstToGoWrong: (numbers, mutant) =>
    firstToGoWrong(
      play,
      numbers,
      mutants.find((one) => one === mutant),
    ),
});

export const everyWalk: WalkByChance[] = [
  walk("client secret", twoClientSecrets, ["without the fence", "cleans up while it makes"]),
  walk("password", twoPasswords, ["without the fence", "makes another each time"]),
  walk("loop GUID", twoLoopGuids, [
    "without the fence",
    "without the look before a write",
    "without the wait for who is late",
    "drops the old one before machines have the new one",
  ]),
];

export const everyMutant = everyWalk.flatMap((one) => one.mutants.map((mutant) => ({ ...one, mutant })));
