/**
 * Every kind of operation fails at each of its activities, before and after its effect: tried again it completes, and taken back nothing is
 * left, or its kind says why it can't be taken back. Then its host is killed there, and the next host goes on to the same end. One kind
 * alone: `-t "demotion fails"`; some of its activities alone: `ACTIVITIES=vault`.
 */
import { afterAll, beforeAll, expect, test } from "vitest";
import { failedThere, killedThere, type Left, type Outcome, undisturbed } from "../support/every-step.ts";
import { kinds, waysIn } from "../support/ways.ts";
import { startWorlds, type Worlds } from "../support/worlds.ts";

const HOURS = 7_200_000;
let worlds: Worlds;
let wayOf: ReturnType<typeof waysIn>;
beforeAll(async () => {
  worlds = await startWorlds();
  wayOf = waysIn(worlds);
}, HOURS);
afterAll(() => worlds.stop());

test.each(kinds)("%s fails", { timeout: HOURS }, async (kind) => {
  await each(kind, "failed", (way, plan, left) => failedThere(worlds, way, plan, left));
});

test.each(kinds)("the host is killed in the middle of %s", { timeout: HOURS }, async (kind) => {
  await each(kind, "killed", async (way, plan, left) => [await killedThere(worlds, way, plan, left)]);
});

type Tried = (
  way: Awaited<ReturnType<typeof wayOf>>,
  plan: { activity: string; when: "before" | "after" },
  left: Left,
) => Promise<Outcome[]>;

async function each(kind: (typeof kinds)[number], what: string, tried: Tried): Promise<void> {
  const way = await wayOf(kind);
  const began = performance.now();
  const { activities, left } = await undisturbed(worlds, way);
  const wrong: string[] = [];
  const count = new Map<string, number>();
  for (const activity of activities.filter((name) => name.includes(process.env["ACTIVITIES"] ?? "")))
    for (const when of ["before", "after"] as const)
      for (const { how, wrong: found } of await tried(way, { activity, when }, left)) {
        count.set(how, (count.get(how) ?? 0) + 1);
        const sentences = found.map((sentence) => `${when} ${activity}, ${how}: ${sentence}`);
        for (const sentence of sentences) process.stdout.write(`${kind}: ${sentence}\n`);
        wrong.push(...sentences);
      }
  const seconds = Math.round((performance.now() - began) / 1000);
  const outcome = [...count].map(([how, times]) => `${times} ${how}`).join(", ");
  process.stdout.write(`${kind}, ${what} before and after each of ${activities.length} activities: ${outcome}; ${seconds} s\n`);
  expect(wrong).toEqual([]);
}
