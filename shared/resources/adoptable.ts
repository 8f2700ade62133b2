/**
 * What a person has made and we take over: a look that counts it as ours before it carries our mark, the mark as the one thing that is
 * written then, and what was found there as what is desired of it from then on.
 */
import { isDeepStrictEqual } from "node:util";
import { ControlPlaneError } from "../errors.ts";
import type { Begun, Done, Owner, PropertyChange, Resource } from "./resource.ts";

/** Part of what is desired. */
export interface TakenOver {
  /** Id of an object that nobody has marked yet. Whatever else differs, the mark is all that is written. */
  adopting?: string | undefined;
  /** As it was found, by the paths of differences: desired there instead of what we would make. */
  found?: Found | undefined;
}

export type Found = Record<string, unknown>;

/** Part of what is there. */
export interface Marked {
  unmarked?: true;
}

/** The path of a missing mark. */
export const OWNER = "owner";

/** @param mark writes the mark and nothing else */
export function adoptable<Desired extends TakenOver & { owner: Owner }, Actual extends Marked>(
  resource: Resource<Desired, Actual>,
  mark: (desired: Desired, actual: Actual) => Promise<Done | Begun>,
): Resource<Desired, Actual> {
  return {
    ...resource,
    diff(desired, actual) {
      const changes = besideFound(resource.diff(desired, actual), desired.found ?? {});
      return actual.unmarked === true ? [...changes, { path: OWNER, from: null, to: desired.owner }] : changes;
    },
    async create(desired) {
      if (desired.adopting !== undefined) throw changedMeanwhile(resource.kind, "is not there any more");
      return resource.create(desired);
    },
    async update(desired, changes, actual) {
      if (desired.adopting === undefined) return resource.update(desired, changes, actual);
      const others = changes.filter(({ path }) => path !== OWNER);
      if (others.length > 0) throw changedMeanwhile(resource.kind, `has another ${others.map(({ path }) => path).join(", ")}`);
      return mark(desired, actual);
    },
    ...(resource.earlier && {
      // A mark interrupts nothing, and what carries it was never ours to take away.
      earlier: (desired: Desired, before: Actual) =>
        desired.adopting === undefined ? resource.earlier?.(desired, before) : undefined,
    }),
  };
}

/** What is as it was found doesn't differ, nor does what is as we would make it. */
const besideFound = (changes: PropertyChange[], found: Found): PropertyChange[] =>
  changes.flatMap((change) => {
    if (!Object.hasOwn(found, change.path)) return [change];
    const wanted = found[change.path];
    return isDeepStrictEqual(stored(change.from), wanted) ? [] : [{ ...change, to: wanted }];
  });

/** What was found has been through JSON. */
const stored = (value: unknown): unknown => (value === undefined ? null : JSON.parse(JSON.stringify(value)));

const changedMeanwhile = (kind: string, how: string): ControlPlaneError =>
  new ControlPlaneError("AdoptionOutdated", `the ${kind} ${how} since it was looked at; look again, then adopt`, 409);
