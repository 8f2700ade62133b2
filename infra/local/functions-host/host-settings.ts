/** host.json: the settings that this host honours, and the names of those that it doesn't. */

import { existsSync, readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import path from "node:path";
import { FunctionsSystemError } from "./functions-core.ts";
import { millisecondsIn } from "./time-span.ts";

export interface HostSettings {
  /** In front of every route; Azure's default is `api`. */
  routePrefix: string;
  hubName: string;
  maxConcurrentActivities: number;
  /** Given to orchestrations that are started without a version. */
  defaultVersion: string | undefined;
  /** Which instances this app may go on with, by their version and `defaultVersion`. */
  versionMatchStrategy: VersionMatchStrategy;
  /** What becomes of an instance that it may not go on with: left alone, or failed. */
  versionFailureStrategy: VersionFailureStrategy;
  /** How long a function may run; undefined is without end. */
  functionTimeout: FunctionTimeout | undefined;
  serviceBus: ServiceBusSettings;
  /** Least level by category. */
  logLevels: Record<string, string>;
  /** A line for each setting that has no effect here. */
  ignored: string[];
}

export type VersionMatchStrategy = (typeof MATCH_STRATEGIES)[number];
export type VersionFailureStrategy = (typeof FAILURE_STRATEGIES)[number];

export interface FunctionTimeout {
  milliseconds: number;
  /** As host.json writes it. */
  text: string;
}

/** What all Service Bus functions have in common. */
export interface ServiceBusSettings {
  /** For each function without sessions. */
  maxConcurrentCalls: number;
  /** For each function with sessions; one message of each at a time. */
  maxConcurrentSessions: number;
  /** How long a session without messages is kept before another is asked for. */
  sessionIdleTimeoutInMilliseconds: number;
  /** The most messages that a function of cardinality `many` gets at once. */
  maxMessageBatchSize: number;
  /** Whether a function that returns completes its message; one may decide otherwise for itself. */
  autoCompleteMessages: boolean;
  /** How long a message's lock is renewed while its function runs. */
  lockRenewalInMilliseconds: number;
}

// DurableTaskOptions.cs of the Durable extension: how instances of other versions are met.
const MATCH_STRATEGIES = ["None", "Strict", "CurrentOrOlder"] as const;
const FAILURE_STRATEGIES = ["Reject", "Fail"] as const;

const HONOURED = [
  "functionTimeout",
  "extensions.http.routePrefix",
  "extensions.durableTask.hubName",
  "extensions.durableTask.maxConcurrentActivityFunctions",
  "extensions.durableTask.defaultVersion",
  "extensions.durableTask.versionMatchStrategy",
  "extensions.durableTask.versionFailureStrategy",
  "extensions.serviceBus.maxConcurrentCalls",
  "extensions.serviceBus.maxConcurrentSessions",
  "extensions.serviceBus.sessionIdleTimeout",
  "extensions.serviceBus.maxMessageBatchSize",
  "extensions.serviceBus.autoCompleteMessages",
  "extensions.serviceBus.maxAutoLockRenewalDuration",
  "logging.logLevel",
];

/** They say what the file is, not what the host does. */
const DESCRIPTIVE = ["version", "$schema", "extensionBundle"];

/** Why the settings that a Durable app usually has mean nothing here. */
const REASONS: Record<string, string> = {
  "extensions.durableTask.storageProvider": "durable state is in one SQLite file",
  "extensions.durableTask.tracing": "nothing is traced",
  "extensions.durableTask.maxConcurrentOrchestratorFunctions": "orchestrators take turns",
  "extensions.http.maxConcurrentRequests": "requests aren't limited",
  "extensions.serviceBus.prefetchCount": "no message is fetched before it is wanted",
  "logging.applicationInsights": "logs go to standard error",
};

interface HostJson {
  functionTimeout?: string;
  logging?: { logLevel?: Record<string, string> };
  extensions?: {
    http?: { routePrefix?: string };
    serviceBus?: {
      maxConcurrentCalls?: number;
      maxConcurrentSessions?: number;
      sessionIdleTimeout?: string;
      maxMessageBatchSize?: number;
      autoCompleteMessages?: boolean;
      maxAutoLockRenewalDuration?: string;
    };
    durableTask?: {
      hubName?: string;
      maxConcurrentActivityFunctions?: number;
      defaultVersion?: string;
      versionMatchStrategy?: string;
      versionFailureStrategy?: string;
    };
  };
}

export function readHostSettings(appDirectory: string): HostSettings {
  const file = path.join(appDirectory, "host.json");
  const hostJson = existsSync(file) ? (JSON.parse(readFileSync(file, "utf8")) as HostJson) : {};
  const { http, durableTask } = hostJson.extensions ?? {};
  return {
    routePrefix: http?.routePrefix ?? "api",
    hubName: fromSettings(durableTask?.hubName ?? "TestHubName"),
    // Azure's default: ten for each core (AzureStorageDurabilityProviderFactory.cs).
    maxConcurrentActivities: durableTask?.maxConcurrentActivityFunctions ?? 10 * availableParallelism(),
    defaultVersion: durableTask?.defaultVersion,
    versionMatchStrategy: oneOf(MATCH_STRATEGIES, durableTask?.versionMatchStrategy, "versionMatchStrategy"),
    versionFailureStrategy: oneOf(FAILURE_STRATEGIES, durableTask?.versionFailureStrategy, "versionFailureStrategy"),
    functionTimeout: functionTimeoutIn(hostJson),
    serviceBus: serviceBusIn(hostJson),
    logLevels: hostJson.logging?.logLevel ?? {},
    ignored: ignoredIn(hostJson).map((setting) => {
      const reason = REASONS[setting];
      return `${setting} has no effect here${reason === undefined ? "" : `: ${reason}`}`;
    }),
  };
}

/** The defaults of ServiceBusOptions.cs. */
function serviceBusIn({ extensions }: HostJson): ServiceBusSettings {
  const { serviceBus = {} } = extensions ?? {};
  const duration = (setting: "maxAutoLockRenewalDuration" | "sessionIdleTimeout", fallback: string): number =>
    millisecondsIn(serviceBus[setting] ?? fallback, `extensions.serviceBus.${setting}`);
  return {
    maxConcurrentCalls: serviceBus.maxConcurrentCalls ?? 16 * availableParallelism(),
    maxConcurrentSessions: serviceBus.maxConcurrentSessions ?? 8,
    // The client's time for one try, which is a minute.
    sessionIdleTimeoutInMilliseconds: duration("sessionIdleTimeout", "00:01:00"),
    maxMessageBatchSize: serviceBus.maxMessageBatchSize ?? 1000,
    autoCompleteMessages: serviceBus.autoCompleteMessages ?? true,
    lockRenewalInMilliseconds: duration("maxAutoLockRenewalDuration", "00:05:00"),
  };
}

/** Half an hour by default, under Consumption five minutes; `-1` is without end (azure-functions-host, ScriptJobHostOptionsSetup.cs). */
function functionTimeoutIn({ functionTimeout: text = "00:30:00" }: HostJson): FunctionTimeout | undefined {
  return text === "-1" ? undefined : { milliseconds: millisecondsIn(text, "functionTimeout"), text };
}

/** .NET reads names of values in any case. @returns the first if none is given */
function oneOf<Value extends string>(values: readonly [Value, ...Value[]], given: string | undefined, setting: string): Value {
  if (given === undefined) return values[0];
  const found = values.find((value) => value.toLowerCase() === given.toLowerCase());
  if (found) return found;
  throw new FunctionsSystemError(`host.json: extensions.durableTask.${setting} is '${given}', not one of ${values.join(", ")}`);
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

/** Each setting that counts for nothing, or the section in which none counts. */
function ignoredIn(value: unknown, prefix = ""): string[] {
  const known = [...HONOURED, ...DESCRIPTIVE];
  if (known.includes(prefix)) return [];
  const section = known.some((name) => name.startsWith(prefix === "" ? "" : `${prefix}.`));
  if (!section || typeof value !== "object" || value === null || Array.isArray(value)) return [prefix];
  return Object.entries(value).flatMap(([key, inner]) => ignoredIn(inner, prefix === "" ? key : `${prefix}.${key}`));
}
