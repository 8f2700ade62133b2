/** OData query options, as far as Graph's directory and mail answer them here: $filter, $select, $top, $skip, $orderby. */
import { badRequest } from "./answers.ts";

type Properties = Record<string, unknown>;

interface Comparison {
  property: string;
  readonly holds: (value: unknown) => boolean;
}

/** Comparisons joined by `and`: eq, ne, ge, gt, le, lt, startswith() and contains(); anything else is a 400, never a wrong answer. */
export function parseFilter(filter: string): Comparison[] {
  return clausesOf(filter).map((clause) => {
    const call = /^(startswith|contains)\(\s*([\w/]+)\s*,\s*('(?:[^']|'')*')\s*\)$/i.exec(clause);
    if (call) {
      const [, name = "", property = "", literal = ""] = call;
      const wanted = String(literalOf(literal)).toLowerCase();
      const test = (text: string): boolean =>
        name.toLowerCase() === "contains" ? text.includes(wanted) : text.startsWith(wanted);
      return { property, holds: (value) => typeof value === "string" && test(value.toLowerCase()) };
    }
    const [, property = "", operator = "", literal = ""] =
      /^([\w/]+)\s+(eq|ne|ge|gt|le|lt)\s+('(?:[^']|'')*'|[^\s']+)$/i.exec(clause) ?? [];
    if (property === "") throw badRequest(`Invalid filter clause: '${clause}'.`, "BadRequest");
    const wanted = literalOf(literal);
    return { property, holds: (value) => compare(value, operator.toLowerCase(), wanted) };
  });
}

export function filtered<T extends Properties>(values: T[], url: URL): T[] {
  const filter = url.searchParams.get("$filter");
  if (filter === null) return values;
  const comparisons = parseFilter(filter);
  return values.filter((value) => comparisons.every(({ property, holds }) => holds(at(value, property))));
}

/** `id` always comes along. */
export function selected(value: Properties, url: URL): Properties {
  const select = url.searchParams.get("$select");
  if (select === null) return value;
  const names = new Set(["id", ...select.split(",").map((name) => name.trim())]);
  return Object.fromEntries(Object.entries(value).filter(([name]) => names.has(name) || name.startsWith("@odata")));
}

/** One page and the link to the next. */
export function paged<T>(values: T[], url: URL, defaultSize: number): { page: T[]; nextLink: string | undefined } {
  const size = Number(url.searchParams.get("$top") ?? defaultSize);
  const skip = Number(url.searchParams.get("$skip") ?? 0);
  if (!Number.isInteger(size) || size < 1 || size > 1000 || !Number.isInteger(skip) || skip < 0)
    throw badRequest("Invalid page size specified. Must be between 1 and 1000 inclusive.", "BadRequest");
  const next = new URL(url);
  next.searchParams.set("$skip", String(skip + size));
  return { page: values.slice(skip, skip + size), nextLink: skip + size < values.length ? next.href : undefined };
}

/** `and` outside of quotes. */
const clausesOf = (filter: string): string[] =>
  filter
    .match(/(?:'(?:[^']|'')*'|(?!\sand\s)[\s\S])+/gi)
    ?.map((clause) => clause.replace(/^\s*and\s+/i, "").trim())
    .filter((clause) => clause !== "") ?? [];

function literalOf(literal: string): string | number | boolean | null {
  if (literal.startsWith("'")) return literal.slice(1, -1).replaceAll("''", "'");
  if (literal === "true" || literal === "false") return literal === "true";
  if (literal === "null") return null;
  return /^-?\d+(\.\d+)?$/.test(literal) ? Number(literal) : literal;
}

function compare(value: unknown, operator: string, wanted: string | number | boolean | null): boolean {
  // Strings and GUIDs compare without case in Graph; times in one format compare as text.
  const [one, other] = [value ?? null, wanted].map((side) => (typeof side === "string" ? side.toLowerCase() : side));
  if (operator === "eq") return one === other;
  if (operator === "ne") return one !== other;
  if (typeof one !== typeof other || one === null || other === null || one === undefined || other === undefined) return false;
  const order = ordered(one, other);
  return operator === "ge" ? order >= 0 : operator === "gt" ? order > 0 : operator === "le" ? order <= 0 : order < 0;
}

function ordered(one: unknown, other: unknown): number {
  const [first, second] = [Date.parse(String(one)), Date.parse(String(other))];
  if (!Number.isNaN(first) && !Number.isNaN(second)) return first - second;
  return String(one) < String(other) ? -1 : String(one) > String(other) ? 1 : 0;
}

const at = (value: Properties, path: string): unknown =>
  path
    .split("/")
    .reduce<unknown>(
      (inner, name) =>
        typeof inner === "object" && inner !== null ? Object.entries(inner).find(([key]) => key === name)?.[1] : undefined,
      value,
    );
