/** host.json: the settings that this host honours, and the names of those that it doesn't. */

import { existsSync, readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import path from "node:path";
import { FunctionsSystemError } from "./functions-core.ts";

export interface HostSettings {
  /** In front of every route; Azure's default is `api`. */
  routePrefix: string;
  hubName: string;
  maxConcurrentActivities: number;
  /** Given to orchestrations that are started without a version. */
  defaultVersion: string | undefined;
  serviceBus: ServiceBusSettings;
  /** Least level by category. */
  logLevels: Record<string, string>;
  /** Paths of settings that have no effect here. */
  ignored: string[];
}

/** What all Service Bus functions have in common. */
export interface ServiceBusSettings {
  /** For each function. */
  maxConcurrentCalls: number;
  /** Whether a function that returns completes its message; one may decide otherwise for itself. */
  autoCompleteMessages: boolean;
  /** How long a message's lock is renewed while its function runs. */
  lockRenewalInMilliseconds: number;
}

const HONOURED = [
  "extensions.http.routePrefix",
  "extensions.durableTask.hubName",
  "extensions.durableTask.maxConcurrentActivityFunctions",
  "extensions.durableTask.defaultVersion",
  "extensions.serviceBus.maxConcurrentCalls",
  "extensions.serviceBus.autoCompleteMessages",
  "extensions.serviceBus.maxAutoLockRenewalDuration",
  "logging.logLevel",
];

/** They say what the file is, not what the host does. */
const DESCRIPTIVE = ["version", "$schema"];

interface HostJson {
  logging?: { logLevel?: Record<string, string> };
  extensions?: {
    http?: { routePrefix?: string };
    serviceBus?: { maxConcurrentCalls?: number; autoCompleteMessages?: boolean; maxAutoLockRenewalDuration?: string };
    durableTask?: { hubName?: string; maxConcurrentActivityFunctions?: number; defaultVersion?: string };
  };
}

export function readHostSettings(appDirectory: string): HostSettings {
  const file = path.join(appDirectory, "host.json");
  const hostJson = existsSync(file) ? (JSON.parse(readFileSync(file, "utf8")) as HostJson) : {};
  const { http, durableTask, serviceBus } = hostJson.extensions ?? {};
  const known = [...HONOURED, ...DESCRIPTIVE];
  return {
    routePrefix: http?.routePrefix ?? "api",
    hubName: fromSettings(durableTask?.hubName ?? "TestHubName"),
    // Azure's default: ten for each core (AzureStorageDurabilityProviderFactory.cs).
    maxConcurrentActivities: durableTask?.maxConcurrentActivityFunctions ?? 10 * availableParallelism(),
    defaultVersion: durableTask?.defaultVersion,
    serviceBus: {
      // The defaults of ServiceBusOptions.cs.
      maxConcurrentCalls: serviceBus?.maxConcurrentCalls ?? 16 * availableParallelism(),
      autoCompleteMessages: serviceBus?.autoCompleteMessages ?? true,
      lockRenewalInMilliseconds: millisecondsIn(serviceBus?.maxAutoLockRenewalDuration ?? "00:05:00"),
    },
    logLevels: hostJson.logging?.logLevel ?? {},
    ignored: leaves(hostJson).filter((leaf) => !known.some((name) => leaf === name || leaf.startsWith(`${name}.`))),
  };
}

/** `%NAME%` stands for an app setting. */
export const fromSettings = (text: string): string =>
  text.replaceAll(/%([^%]+)%/gu, (_, name: string) => process.env[name] ?? "");

/**
 * As `fromSettings`, for what can't do without.
 * @param asker who wants it, for the message
 */
export const expandSettings = (text: string, asker: string): string =>
  text.replaceAll(/%([^%]+)%/gu, (_, name: string) => {
    const value = process.env[name];
    if (value === undefined) throw new FunctionsSystemError(`${asker} needs the setting ${name}, which is missing`);
    return value;
  });

/** .NET's TimeSpan: `hh:mm:ss`. */
function millisecondsIn(span: string): number {
  const [, hours, minutes, seconds] = /^(\d+):(\d\d):(\d\d)$/u.exec(span) ?? [];
  if (hours === undefined) throw new FunctionsSystemError(`host.json: '${span}' is no duration such as 00:05:00`);
  return ((Number(hours) * 60 + Number(minutes)) * 60 + Number(seconds)) * 1000;
}

const leaves = (value: unknown, prefix = ""): string[] =>
  typeof value === "object" && value !== null && !Array.isArray(value)
    ? Object.entries(value).flatMap(([key, inner]) => leaves(inner, prefix === "" ? key : `${prefix}.${key}`))
    : [prefix];
