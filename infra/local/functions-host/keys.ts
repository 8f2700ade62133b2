/** Function keys: which of them an app has, and what each opens (azure-functions-host, KeyAuthenticationHandler.cs and AuthUtility.cs). */

import { randomBytes, timingSafeEqual } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import type { IncomingMessage } from "node:http";
import { FunctionsSystemError } from "./functions-core.ts";

/** Names and values. */
type KeySet = Record<string, string>;

export interface Keys {
  /** Opens everything. */
  master: string;
  /** Open every function of the level `function`. */
  host: KeySet;
  /** Each opens the webhooks of one extension. */
  system: KeySet;
  /** Open their function only. */
  functions: Record<string, KeySet>;
}

export type AccessLevel = "anonymous" | "function" | "admin";

export interface Authorization {
  mayCall(functionName: string, level: AccessLevel, key: string | undefined): boolean;
  /** @param name of a system key, for example `durabletask_extension` */
  mayCallWebhook(name: string, key: string | undefined): boolean;
  mayAdminister(key: string | undefined): boolean;
}

/** The Durable extension's system key. */
export const DURABLE_KEY = "durabletask_extension";

const OWNER_ONLY = 0o600;

/**
 * What the file holds; made at the first start, and completed for functions that are new.
 * @param file without it, the keys are for this run only
 */
export function openKeys(file: string | undefined, functionNames: string[]): Keys {
  const kept = file !== undefined && existsSync(file) ? readKeys(file) : undefined;
  const functions = functionNames.map((name) => [name, kept?.functions[name] ?? { default: newKey() }] as const);
  const keys: Keys = {
    master: kept?.master ?? newKey(),
    host: kept?.host ?? { default: newKey() },
    system: { [DURABLE_KEY]: newKey(), ...kept?.system },
    functions: { ...kept?.functions, ...Object.fromEntries(functions) },
  };
  if (file !== undefined) writeFileSync(file, `${JSON.stringify(keys, undefined, 2)}\n`, { mode: OWNER_ONLY });
  return keys;
}

function readKeys(file: string): Keys {
  try {
    return JSON.parse(readFileSync(file, "utf8")) as Keys;
  } catch (error) {
    throw new FunctionsSystemError(`${file} holds the function keys, but can't be read: ${(error as Error).message}`);
  }
}

const newKey = (): string => randomBytes(40).toString("base64url");

/** Without keys everything is open, as under Core Tools. */
export function createAuthorization(keys: Keys | undefined): Authorization {
  if (!keys) return { mayCall: () => true, mayCallWebhook: () => true, mayAdminister: () => true };
  const mayAdminister = (key: string | undefined): boolean => isOneOf([keys.master], key);
  return {
    mayAdminister,
    mayCall(functionName, level, key) {
      if (level === "anonymous" || mayAdminister(key)) return true;
      const opening = [...Object.values(keys.host), ...Object.values(keys.functions[functionName] ?? {})];
      return level === "function" && isOneOf(opening, key);
    },
    mayCallWebhook: (name, key) => mayAdminister(key) || isOneOf([keys.system[name]], key),
  };
}

/** The header counts before the query, also when its key is wrong. */
export function keyOf({ headers }: IncomingMessage, { searchParams }: URL): string | undefined {
  const header = headers["x-functions-key"];
  return typeof header === "string" ? header : (searchParams.get("code") ?? undefined);
}

const isOneOf = (keys: (string | undefined)[], given: string | undefined): boolean =>
  given !== undefined && keys.some((key) => key !== undefined && same(Buffer.from(key), Buffer.from(given)));

const same = (a: Buffer, b: Buffer): boolean => a.length === b.length && timingSafeEqual(a, b);
