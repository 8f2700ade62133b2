/**
 * A fault at every request of an onboarding, one a run, in virtual time: the onboarding completes all the same, or says why not in a
 * documented code, and asking for it once more brings everything to where an undisturbed one leaves it.
 */
import { expect } from "vitest";
import { suits } from "../../infra/local/clouds/faults.ts";
import type { CloudName } from "../../infra/local/clouds/simulator.ts";
import { documentedCodes } from "./error-codes.ts";
import { canonical } from "./estate.ts";
import { type FaultAt, type Played, startWorlds } from "./worlds.ts";

/** Sentences about what is wrong; none, and it went as it should. */
export async function faultAtEveryRequest(kind: FaultAt["kind"], destinations: "clouds" | "tables"): Promise<string[]> {
  // Time is virtual here; how long it took is not.
  const began = performance.now();
  const worlds = await startWorlds();
  try {
    const undisturbed = await worlds.play();
    expect(undisturbed.ending.status, "an undisturbed onboarding").toBe("Succeeded");
    const wrong: string[] = [];
    const endings = new Map<string, number>();
    const places = destinations === "tables" ? tablesOf(undisturbed) : cloudsOf(undisturbed, kind);
    for (const place of places) {
      const played = await worlds.play({ ...place, kind });
      const { ending, met } = played;
      const how = met ? (ending.error?.code ?? ending.status) : "came by no request";
      endings.set(how, (endings.get(how) ?? 0) + 1);
      wrong.push(...findings(played, undisturbed).map((finding) => `${kind} at ${place.to} ${place.at}: ${finding}`));
    }
    const outcome = [...endings].map(([how, times]) => `${times} ${how}`).join(", ");
    const seconds = Math.round((performance.now() - began) / 1000);
    process.stdout.write(`${kind} at each of ${places.length} requests to ${destinations}: ${outcome}; ${seconds} s\n`);
    return wrong;
  } finally {
    await worlds.stop();
  }
}

type Place = Pick<FaultAt, "to" | "at">;

/** Questions to DNS and mail's connections too, where they can go wrong that way. */
function cloudsOf({ record }: Played, kind: FaultAt["kind"]): Place[] {
  const counts = new Map<CloudName, number>();
  return record
    .filter(({ cloud }) => suits(cloud, { kind }))
    .map(({ cloud: to }) => {
      const at = (counts.get(to) ?? 0) + 1;
      counts.set(to, at);
      return { to, at };
    });
}

const tablesOf = ({ tables }: Played): Place[] => tables.map((_, index) => ({ to: "tables" as const, at: index + 1 }));

const known = documentedCodes();

function findings(played: Played, undisturbed: Played): string[] {
  const { ending, again, violations } = played;
  const found = violations.map((violation) => JSON.stringify(violation));
  const said = ending.error ? `${ending.error.code}: ${ending.error.message}` : ending.status;
  if (ending.status !== "Succeeded" && !known.has(ending.error?.code ?? "")) found.push(`ended as ${said}`);
  if (again && again.status !== "Succeeded")
    found.push(`ended as ${said}, and asked again as ${again.error?.code ?? again.status}: ${again.error?.message}`);
  const [left, expected] = [canonical(played.estate), canonical(undisturbed.estate)];
  if (left !== expected) found.push(`left ${left} instead of ${expected}`);
  return found;
}
