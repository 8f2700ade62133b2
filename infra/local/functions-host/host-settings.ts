/** host.json: the settings that this host honours, and the names of those that it doesn't. */

import { existsSync, readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import path from "node:path";

export interface HostSettings {
  /** In front of every route; Azure's default is `api`. */
  routePrefix: string;
  hubName: string;
  maxConcurrentActivities: number;
  /** Given to orchestrations that are started without a version. */
  defaultVersion: string | undefined;
  /** Least level by category. */
  logLevels: Record<string, string>;
  /** Paths of settings that have no effect here. */
  ignored: string[];
}

const HONOURED = [
  "extensions.http.routePrefix",
  "extensions.durableTask.hubName",
  "extensions.durableTask.maxConcurrentActivityFunctions",
  "extensions.durableTask.defaultVersion",
  "logging.logLevel",
];

/** They say what the file is, not what the host does. */
const DESCRIPTIVE = ["version", "$schema"];

interface HostJson {
  logging?: { logLevel?: Record<string, string> };
  extensions?: {
    http?: { routePrefix?: string };
    durableTask?: { hubName?: string; maxConcurrentActivityFunctions?: number; defaultVersion?: string };
  };
}

export function readHostSettings(appDirectory: string): HostSettings {
  const file = path.join(appDirectory, "host.json");
  const hostJson = existsSync(file) ? (JSON.parse(readFileSync(file, "utf8")) as HostJson) : {};
  const { http, durableTask } = hostJson.extensions ?? {};
  const known = [...HONOURED, ...DESCRIPTIVE];
  return {
    routePrefix: http?.routePrefix ?? "api",
    hubName: fromSettings(durableTask?.hubName ?? "TestHubName"),
    // Azure's default: ten for each core (AzureStorageDurabilityProviderFactory.cs).
    maxConcurrentActivities: durableTask?.maxConcurrentActivityFunctions ?? 10 * availableParallelism(),
    defaultVersion: durableTask?.defaultVersion,
    logLevels: hostJson.logging?.logLevel ?? {},
    ignored: leaves(hostJson).filter((leaf) => !known.some((name) => leaf === name || leaf.startsWith(`${name}.`))),
  };
}

/** `%NAME%` stands for an app setting. */
export const fromSettings = (text: string): string =>
  text.replaceAll(/%([^%]+)%/gu, (_, name: string) => process.env[name] ?? "");

const leaves = (value: unknown, prefix = ""): string[] =>
  typeof value === "object" && value !== null && !Array.isArray(value)
    ? Object.entries(value).flatMap(([key, inner]) => leaves(inner, prefix === "" ? key : `${prefix}.${key}`))
    : [prefix];
