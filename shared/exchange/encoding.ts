/** How PowerShell values travel in InvokeCommand's JSON, and how what comes back is freed of its wrapping. */

/** PowerShell's `@{Add = …; Remove = …}`. */
export interface Hashtable {
  [key: string]: ParameterValue | undefined;
}
export type ParameterValue = string | number | boolean | null | Date | ParameterValue[] | Hashtable;

const HASHTABLE = "#Exchange.GenericHashTable";

/**
 * Without its type tag a hashtable reaches the cmdlet's binder as a JSON object and is refused. What is undefined is left out; `null`
 * means "clear this" and is left out of New- cmdlets, which refuse it.
 */
export function encodeParameters(parameters: object, { nulls }: { nulls: boolean }): Record<string, unknown> {
  const encoded: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(parameters) as [string, ParameterValue | undefined][]) {
    if (value === undefined || (value === null && !nulls)) continue;
    if (isListOfHashtables(value)) encoded[`${name}@odata.type`] = `#Collection(${HASHTABLE.slice(1)})`;
    encoded[name] = encodeValue(value);
  }
  return encoded;
}

function encodeValue(value: ParameterValue): unknown {
  // .NET's round-trip form has seven digits of a second.
  if (value instanceof Date) return value.toISOString().replace(/(\.\d{3})Z$/, "$10000Z");
  if (Array.isArray(value)) return value.map((item) => (isHashtable(item) ? untagged(item) : encodeValue(item)));
  if (isHashtable(value)) return { "@odata.type": HASHTABLE, ...untagged(value) };
  return value;
}

/** Members of a tagged collection carry no tag of their own; hashtables below them do. */
const untagged = (hashtable: Hashtable): Record<string, unknown> => encodeParameters(hashtable, { nulls: false });

const isHashtable = (value: unknown): value is Hashtable =>
  typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Date);

const isListOfHashtables = (value: ParameterValue): boolean =>
  Array.isArray(value) && value.length > 0 && value.every(isHashtable);

/** Drops what describes the wire rather than the object: `X@odata.type`, `X@data.type`, `@odata.context`. */
export const withoutAnnotations = (value: Record<string, unknown>): Record<string, unknown> =>
  Object.fromEntries(Object.entries(value).filter(([name]) => !/odata|data\.type/i.test(name)));
