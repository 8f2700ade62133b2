/** What of an object that a person made is wanted as it was found, for as long as it stands: what can't be changed, and its name. Pure. */
import type { Names } from "../azure/names.ts";
import type { Found, TakenOver } from "../resources/adoptable.ts";
import type { Resources } from "../resources/index.ts";

/** `name`: of an object that a tenant may have several of. */
export const madeKey = (kind: keyof Resources, name?: string): string => (name === undefined ? kind : `${kind} ${name}`);

export function asMade(
  { names: { asMade: made = {} } }: { names: Pick<Names, "asMade"> },
  kind: keyof Resources,
  name?: string,
): Pick<TakenOver, "found"> {
  const found: Found | undefined = made[madeKey(kind, name)];
  return found === undefined ? {} : { found };
}
