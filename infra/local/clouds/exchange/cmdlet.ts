/** What a cmdlet is here: a signature, and what it would do with bound parameters. */
import { randomUUID } from "node:crypto";
import type { Settling } from "../settling.ts";
import type { Peers } from "../simulator.ts";
import type { Bound, Signature } from "./binder.ts";
import type { ExchangeStore, Owned } from "./store.ts";

export interface CmdletContext {
  tenantId: string;
  store: ExchangeStore;
  peers: Peers;
  /** A fresh object isn't in the first answers of its Get-. */
  settling: Settling;
  /** ISO 8601, as `WhenChanged` shows it. */
  readonly now: () => string;
}

/** What every object has that is made now. */
export const madeNow = ({ tenantId, now }: Pick<CmdletContext, "tenantId" | "now">, name: string): Owned => ({
  tenantId,
  guid: randomUUID(),
  name,
  whenCreated: now(),
  whenChanged: now(),
});

/** Validated and ready: `commit` makes the change (or the reading) and gives the objects to answer with; a void cmdlet gives none. */
export interface Prepared {
  /** What `@adminapi.confirmationmessage` asks about. */
  target: string;
  warnings?: string[];
  commit(): Record<string, unknown>[] | Promise<Record<string, unknown>[]>;
}

export interface Cmdlet extends Signature {
  /** Only with Confirm:false is anything done: Remove- cmdlets ask by default. */
  asksByDefault?: boolean;
  prepare(context: CmdletContext, bound: Bound): Prepared;
}

export const reading = (values: () => Record<string, unknown>[]): Prepared => ({ target: "", commit: values });

export const text = (bound: Bound, name: string): string | undefined => {
  const value = bound.get(name);
  return typeof value === "string" ? value : undefined;
};

export const flag = (bound: Bound, name: string): boolean | undefined => {
  const value = bound.get(name);
  return typeof value === "boolean" ? value : undefined;
};

/** Distinguished names end like this in every organisation's own container. */
export const distinguishedName = (name: string, container: string, tenantId: string): string =>
  `CN=${name},CN=${container},CN=Transport Settings,CN=Configuration,CN=${tenantId},CN=ConfigurationUnits,DC=EURPR01A001,DC=PROD,DC=OUTLOOK,DC=COM`;
