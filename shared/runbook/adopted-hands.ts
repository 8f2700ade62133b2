/** Hands for an installation that a person made: they see to what was found, as it was found, and leave out what isn't managed yet. */
import { isDeepStrictEqual } from "node:util";
import type { AsFound } from "../desired/adopted.ts";
import type { TakenOver } from "../resources/adoptable.ts";
import { IN_NO_VAULT } from "../vault/reference.ts";
import type { Hands } from "./runbook.ts";

/** What the runbook names and such an installation doesn't have. */
export interface NotManaged {
  kind: string;
  step: string;
}

/** Of something that isn't managed: it has no id, no name and no address. */
const nothing: unknown = new Proxy({}, { get: () => "" });
const nowhere = { availabilitySet: false, missing: [], machines: [] };

/** @param leftOut hears what is not managed yet, in the walk's order */
export function handsForAdopted<Wait>(
  hands: Hands<Wait>,
  { size, found, adopting = {} }: AsFound,
  leftOut: (one: NotManaged) => void = () => undefined,
): Hands<Wait> {
  const managed = (kind: string, step: string): boolean => {
    const known = Object.hasOwn(found, step);
    if (!known) leftOut({ kind, step });
    return known;
  };
  const asFound = <Desired>(step: string, wanted: Desired): Desired => ({
    ...wanted,
    found: found[step],
    ...(adopting[step] === undefined ? {} : { adopting: adopting[step] }),
  });
  return {
    ...hands,
    *ensure(kind, step, wanted, attempt) {
      return managed(kind, step) ? yield* hands.ensure(kind, step, asFound(step, wanted), attempt) : (nothing as never);
    },
    *ensureIfPossible(kind, step, wanted) {
      if (managed(kind, step)) yield* hands.ensureIfPossible(kind, step, asFound(step, wanted));
    },
    *drop() {
      // What a spec no longer has was never made.
    },
    *placement() {
      return { ...nowhere, availabilitySet: Object.hasOwn(found, "availabilitySet"), machines: [[{ size }]] };
    },
    *rolePlacement() {
      return nowhere;
    },
    *ownPrincipal() {
      return "";
    },
    *secret() {
      return IN_NO_VAULT;
    },
    *namedSecrets() {
      return {};
    },
    *mailRoute() {
      return { smartHost: "not-managed.invalid", relayFrom: [] };
    },
    *guestGeneration() {
      return { generation: 1 };
    },
  };
}

/** Hands that only look at what would be made whole: the loop GUID that is in the rules is the one that the vault will have. */
export function handsKeepingLoopGuid<Wait>(hands: Hands<Wait>, { found }: AsFound): Hands<Wait> {
  const known = (step: string): unknown => found[step]?.["loopGuid"];
  const loopGuid = known("forwardingRule");
  return {
    ...hands,
    *ensure(kind, step, wanted, attempt) {
      if (!isDeepStrictEqual(known(step), loopGuid)) return yield* hands.ensure(kind, step, wanted, attempt);
      const { found: asMade } = wanted as TakenOver;
      return yield* hands.ensure(kind, step, { ...wanted, found: { ...asMade, loopGuid } }, attempt);
    },
  };
}
