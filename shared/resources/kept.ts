/** What a person called things, where that is kept. Pure. */
import type { TakenOver } from "./adoptable.ts";

/** What a person called an object, or something in it; by default what we would. */
export function kept({ found }: Pick<TakenOver, "found">, path: string, ours: string): string {
  const theirs = found?.[path];
  return typeof theirs === "string" ? theirs : ours;
}
