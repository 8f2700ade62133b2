/** Binds a cmdlet's parameters as PowerShell's binder does behind the REST endpoint: by name without case, strictly by type. */
import { ARGUMENT, BINDING, CmdletError } from "./answers.ts";

/** A multi-valued property as it was given: the whole list, or what to add and remove. */
export type MultiValue = { replace: string[] } | { add: string[]; remove: string[] };

export type ParameterType =
  | "string"
  | "boolean"
  | "integer"
  | "strings"
  | "multivalue"
  | "date"
  /** In the real product, but no part of this model. */
  | "unmodelled"
  | readonly string[];

export interface Signature {
  parameters: Record<string, ParameterType>;
  mandatory?: readonly string[];
  /** Takes Confirm and WhatIf: the cmdlets that change something. */
  shouldProcess?: boolean;
}

/** Canonical parameter name → value; an absent parameter is absent, null clears. */
export type Bound = Map<string, unknown>;

/** PowerShell's common parameters; accepted and without meaning here. */
const COMMON = ["ErrorAction", "WarningAction", "InformationAction", "Verbose", "Debug"];

export const HASHTABLE = "#Exchange.GenericHashTable";

export function bind(signature: Signature, given: Record<string, unknown>): Bound {
  const bound: Bound = new Map();
  const { parameters, mandatory = [], shouldProcess = false } = signature;
  const known = new Map<string, [string, ParameterType]>(
    Object.entries(parameters).map(([name, type]) => [name.toLowerCase(), [name, type]]),
  );
  if (shouldProcess) for (const name of ["Confirm", "WhatIf"]) known.set(name.toLowerCase(), [name, "boolean"]);
  for (const name of COMMON) known.set(name.toLowerCase(), [name, "string"]);
  for (const [name, value] of Object.entries(given)) {
    // `X@odata.type` says what X is (a list of hashtables, of bytes); it is no parameter.
    if (name.includes("@odata.type")) continue;
    const found = known.get(name.toLowerCase());
    if (!found) throw new CmdletError(BINDING, `A parameter cannot be found that matches parameter name '${name}'.`);
    const [canonical, type] = found;
    bound.set(canonical, convert(canonical, type, value));
  }
  const missing = mandatory.filter((name) => bound.get(name) === undefined || bound.get(name) === null);
  if (missing.length > 0)
    throw new CmdletError(
      BINDING,
      `Cannot process command because of one or more missing mandatory parameters: ${missing.join(" ")}.`,
    );
  return bound;
}

function convert(name: string, type: ParameterType, value: unknown): unknown {
  if (type === "unmodelled")
    throw new CmdletError("Gatehouse.Local.NotModelledException", `Parameter '${name}' is not modelled by this simulator.`, 501);
  if (type === "boolean") return typeof value === "boolean" ? value : cannotConvert(name, value, "System.Boolean");
  if (type === "multivalue") return multivalue(name, value);
  if (value === null) return null;
  if (type === "string")
    return typeof value === "string" || typeof value === "number" ? String(value) : cannotConvert(name, value, "System.String");
  if (type === "integer") return integer(name, value);
  if (type === "strings") return strings(name, value);
  if (type === "date")
    return typeof value === "string" && !Number.isNaN(Date.parse(value)) ? value : cannotConvert(name, value, "System.DateTime");
  const found = type.find((one) => typeof value === "string" && one.toLowerCase() === value.toLowerCase());
  if (found === undefined)
    throw new CmdletError(
      BINDING,
      `Cannot process argument transformation on parameter '${name}'. Unable to match the identifier name ${inWords(value)} to a valid enumerator name. Specify one of the following enumerator names and try again: ${type.join(", ")}`,
    );
  return found;
}

function integer(name: string, value: unknown): number {
  const number =
    typeof value === "number" ? value : typeof value === "string" && /^-?\d+$/.test(value) ? Number(value) : Number.NaN;
  return Number.isInteger(number) ? number : cannotConvert(name, value, "System.Int32");
}

function strings(name: string, value: unknown): string[] {
  if (typeof value === "string") return [value];
  if (Array.isArray(value) && value.every((one) => typeof one === "string")) return value;
  return cannotConvert(name, value, "System.String[]");
}

/** Without its tag the binder gets a JSON object instead of a hashtable and gives up. */
function multivalue(name: string, value: unknown): MultiValue {
  if (value === null) return { replace: [] };
  if (typeof value !== "object" || Array.isArray(value)) return { replace: strings(name, value) };
  const entries = Object.entries(value);
  const tag = entries.find(([key]) => key === "@odata.type")?.[1];
  if (tag !== HASHTABLE) return cannotConvert(name, value, "Microsoft.Exchange.Data.MultiValuedProperty`1[System.String]");
  const changes = entries.filter(([key]) => !key.includes("@odata.type"));
  if (changes.length === 0) return { replace: [] };
  const of = (wanted: string): string[] => strings(name, changes.find(([key]) => key.toLowerCase() === wanted)?.[1] ?? []);
  const foreign = changes.find(([key]) => !["add", "remove"].includes(key.toLowerCase()));
  if (foreign)
    throw new CmdletError(
      ARGUMENT,
      `The hashtable of parameter '${name}' must have keys Add and Remove only, not '${foreign[0]}'.`,
    );
  return { add: of("add"), remove: of("remove") };
}

/** The list after a change; what is there is not added twice, what isn't there is not missed. */
export function applied(
  list: readonly string[],
  change: MultiValue,
  same: (one: string) => string = (one) => one.toLowerCase(),
): string[] {
  const result = "replace" in change ? [] : list.filter((one) => !change.remove.some((gone) => same(gone) === same(one)));
  for (const one of "replace" in change ? change.replace : change.add)
    if (!result.some((there) => same(there) === same(one))) result.push(one);
  return result;
}

function cannotConvert(name: string, value: unknown, type: string): never {
  throw new CmdletError(
    BINDING,
    `Cannot process argument transformation on parameter '${name}'. Cannot convert value "${inWords(value)}" to type "${type}".`,
  );
}

const inWords = (value: unknown): string => {
  if (typeof value === "string") return value;
  return typeof value === "object" && value !== null ? "Newtonsoft.Json.Linq.JObject" : JSON.stringify(value);
};
