/** Which instances an app may go on with, by their version (VersioningSettings.cs and TaskOrchestrationDispatcher.cs of DurableTask.Core). */

import type { VersionFailureStrategy, VersionMatchStrategy } from "./host-settings.ts";

export interface Versioning {
  /** The app's own, and that of instances that are started without one. */
  defaultVersion?: string | undefined;
  versionMatchStrategy?: VersionMatchStrategy | undefined;
  versionFailureStrategy?: VersionFailureStrategy | undefined;
}

/** @returns why the app mustn't go on with an instance of that version; undefined if it may */
export function versionMismatch(
  { versionMatchStrategy = "None", defaultVersion = "" }: Versioning,
  version = "",
): string | undefined {
  const comparison = compareVersions(version, defaultVersion);
  if (versionMatchStrategy === "Strict" && comparison !== 0)
    return `The orchestration version '${version}' does not match the worker version '${defaultVersion}'.`;
  if (versionMatchStrategy === "CurrentOrOlder" && comparison > 0)
    return `The orchestration version '${version}' is greater than the worker version '${defaultVersion}'.`;
  return undefined;
}

/** None is before any; numbers separated by dots by their numbers (.NET's System.Version); everything else as text without case. */
function compareVersions(one: string, other: string): number {
  const numbers = [one, other].map(numbersIn);
  const [a, b] = numbers;
  if (!a || !b) return one.toLowerCase() === other.toLowerCase() ? 0 : one.toLowerCase() < other.toLowerCase() ? -1 : 1;
  const differing = [0, 1, 2, 3].find((index) => (a[index] ?? -1) !== (b[index] ?? -1));
  return differing === undefined ? 0 : (a[differing] ?? -1) - (b[differing] ?? -1);
}

const numbersIn = (version: string): number[] | undefined =>
  /^\d+(?:\.\d+){1,3}$/u.test(version) ? version.split(".").map(Number) : undefined;
