/** OData filters for Table Storage. Only checked plain values get in: the SDK's own template passes arrays and objects unquoted. */

export type FilterValue = string | number | boolean | Date;

/** A piece of a filter; made here only, so that no text from outside becomes one. */
export interface Filter {
  readonly odata: string;
}

type Comparison = "eq" | "ge" | "gt" | "le" | "lt" | "ne";

export const where = (property: string, comparison: Comparison, value: FilterValue): Filter => {
  if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(property)) throw new TypeError(`${property} can't be a property's name`);
  return { odata: `${property} ${comparison} ${literal(value)}` };
};

export const all = (...filters: Filter[]): Filter => ({ odata: filters.map(({ odata }) => `(${odata})`).join(" and ") });

export const any = (...filters: Filter[]): Filter => ({ odata: filters.map(({ odata }) => `(${odata})`).join(" or ") });

/** The rows of a partition whose key begins with a prefix; the prefix must end in `_`. */
export const rowsBeginning = (partitionKey: string, prefix: string): Filter => {
  if (!prefix.endsWith("_")) throw new TypeError("a row prefix ends in an underscore");
  // "`" is the character after "_".
  return all(
    where("PartitionKey", "eq", partitionKey),
    where("RowKey", "ge", prefix),
    where("RowKey", "lt", `${prefix.slice(0, -1)}\``),
  );
};

function literal(value: unknown): string {
  if (typeof value === "string") return `'${value.replaceAll("'", "''")}'`;
  if (typeof value === "boolean") return String(value);
  if (typeof value === "number" && Number.isFinite(value)) {
    return Number.isInteger(value) && Math.abs(value) >= 2 ** 31 ? value.toFixed(1) : String(value);
  }
  if (value instanceof Date && !Number.isNaN(value.getTime())) return `datetime'${value.toISOString()}'`;
  throw new TypeError("a filter compares with a string, finite number, boolean or date only");
}
