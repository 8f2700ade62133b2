/** Hands for an installation that a person made: they see to what was found, as it was found, and leave out what isn't managed yet. */
import type { AsFound } from "../desired/adopted.ts";
import type { Found } from "../resources/adoptable.ts";
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

/** Hands that make such an installation whole: only what nothing could change stays as it was found. */
export const handsCompleting = <Wait>(hands: Hands<Wait>, lasting: Record<string, Found>): Hands<Wait> => ({
  ...hands,
  *ensure(kind, step, wanted, attempt) {
    const found = lasting[step];
    return yield* hands.ensure(kind, step, found === undefined ? wanted : { ...wanted, found }, attempt);
  },
});
