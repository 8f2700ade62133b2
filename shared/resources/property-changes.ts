/** Compares what is desired with what is there, over the properties that we own. */
import { isDeepStrictEqual } from "node:util";
import type { PropertyChange } from "./resource.ts";

/** Both sides canonical, with the same names; what `desired` doesn't name isn't ours. */
export const changesBetween = (desired: object, actual: object): PropertyChange[] => {
  const there = new Map<string, unknown>(Object.entries(actual));
  return Object.entries(desired)
    .filter(([path, to]) => !isDeepStrictEqual(there.get(path), to))
    .map(([path, to]: [string, unknown]) => ({ path, from: there.get(path) ?? null, to }));
};

/** The desired values of those settings that changed. */
export const only = <Settings extends object>(settings: Settings, changes: PropertyChange[]): Partial<Settings> =>
  Object.fromEntries(
    changes.filter(({ path }) => Object.hasOwn(settings, path)).map(({ path, to }) => [path, to]),
  ) as Partial<Settings>;
