/** Route templates of HTTP functions: ASP.NET's grammar, as far as the Functions host understands it. */

import { FunctionsSystemError } from "./functions-core.ts";

export interface RouteTemplate {
  text: string;
  segments: Segment[];
}

type Segment =
  | { kind: "literal"; text: string }
  | {
      kind: "parameter";
      name: string;
      constraints: Constraint[];
      optional: boolean;
      fallback: string | undefined;
      rest: boolean;
    };

interface Constraint {
  name: string;
  accepts: (value: string) => boolean;
}

const number = (argument: string | undefined): number => Number(argument);
const isInteger = (value: string): boolean => /^-?\d+$/u.test(value);
const isNumber = (value: string): boolean => value !== "" && !Number.isNaN(Number(value));

/** Microsoft.AspNetCore.Routing.Constraints; `regex` and composite segments such as `{a}-{b}` are left out. */
const CONSTRAINTS: Record<string, (argument: string, second?: string) => (value: string) => boolean> = {
  alpha: () => (value) => /^[a-z]*$/iu.test(value),
  bool: () => (value) => /^(?:true|false)$/iu.test(value),
  datetime: () => (value) => !Number.isNaN(Date.parse(value)),
  decimal: () => isNumber,
  double: () => isNumber,
  float: () => isNumber,
  guid: () => (value) => /^[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}$/iu.test(value),
  int: () => (value) => isInteger(value) && Math.abs(Number(value)) < 2 ** 31,
  length:
    (least, most = least) =>
    (value) =>
      value.length >= number(least) && value.length <= number(most),
  long: () => isInteger,
  max: (most) => (value) => isInteger(value) && Number(value) <= number(most),
  maxlength: (most) => (value) => value.length <= number(most),
  min: (least) => (value) => isInteger(value) && Number(value) >= number(least),
  minlength: (least) => (value) => value.length >= number(least),
  range: (least, most) => (value) => isInteger(value) && Number(value) >= number(least) && Number(value) <= number(most),
  required: () => (value) => value !== "",
};

/** @throws FunctionsSystemError for what this grammar doesn't have */
export function parseTemplate(text: string): RouteTemplate {
  const trimmed = text.replaceAll(/^\/+|\/+$/gu, "");
  return { text: trimmed, segments: trimmed === "" ? [] : trimmed.split("/").map((segment) => parseSegment(segment, text)) };
}

function parseSegment(text: string, template: string): Segment {
  if (!/[{}]/u.test(text)) return { kind: "literal", text };
  const [, stars, name, constraints, mark, fallback] =
    /^\{(\*{0,2})(\w+)((?::[a-z]+(?:\([^()]*\))?)*)(\?)?(?:=([^{}]*))?\}$/iu.exec(text) ?? [];
  if (name === undefined) throw new FunctionsSystemError(`segment '${text}' of route '${template}' isn't understood`);
  return {
    kind: "parameter",
    name,
    constraints: [...(constraints ?? "").matchAll(/:([a-z]+)(?:\(([^()]*)\))?/giu)].map(([, key, args]) =>
      parseConstraint(key ?? "", args ?? "", template),
    ),
    optional: mark === "?",
    fallback,
    rest: stars !== "",
  };
}

function parseConstraint(key: string, argumentText: string, template: string): Constraint {
  const name = key.toLowerCase();
  const [first = "", second] = argumentText.split(",");
  const create = CONSTRAINTS[name];
  if (!create) throw new FunctionsSystemError(`constraint '${key}' of route '${template}' isn't known`);
  return { name, accepts: create(first, second) };
}

/** @param path decoded segments. @returns the parameters, or undefined if the template doesn't match */
export function matchTemplate({ segments }: RouteTemplate, path: string[]): Record<string, string> | undefined {
  const parameters: Record<string, string> = {};
  for (const [index, segment] of segments.entries()) {
    const value = path[index];
    if (segment.kind === "literal") {
      if (value?.toLowerCase() !== segment.text.toLowerCase()) return undefined;
      continue;
    }
    if (segment.rest) return { ...parameters, [segment.name]: path.slice(index).join("/") };
    if (value === undefined) {
      if (segment.fallback !== undefined) parameters[segment.name] = segment.fallback;
      else if (!segment.optional) return undefined;
      continue;
    }
    if (!segment.constraints.every(({ accepts }) => accepts(value))) return undefined;
    parameters[segment.name] = value;
  }
  return path.length > segments.length ? undefined : parameters;
}

/** Constraints of which no value meets both. */
const DISJOINT = new Set(["alpha int", "alpha long", "bool int", "bool long", "bool guid", "guid int"]);

/** Whether some path matches both templates, in which case the functions' names would decide. */
export function overlap(a: RouteTemplate, b: RouteTemplate): boolean {
  return overlapFrom(a.segments, b.segments);
}

function overlapFrom([a, ...restOfA]: Segment[], [b, ...restOfB]: Segment[]): boolean {
  if (!a && !b) return true;
  if (!a || !b) return [a ?? b, ...restOfA, ...restOfB].every((segment) => segment !== undefined && omittable(segment));
  const bothGoOn = takesSame(a, b) && (rest(a) || rest(b) || overlapFrom(restOfA, restOfB));
  return (
    bothGoOn || (omittable(a) && overlapFrom(restOfA, [b, ...restOfB])) || (omittable(b) && overlapFrom([a, ...restOfA], restOfB))
  );
}

const rest = (segment: Segment): boolean => segment.kind === "parameter" && segment.rest;

const omittable = (segment: Segment): boolean =>
  segment.kind === "parameter" && (segment.optional || segment.rest || segment.fallback !== undefined);

function takesSame(a: Segment, b: Segment): boolean {
  if (a.kind === "literal" && b.kind === "literal") return a.text.toLowerCase() === b.text.toLowerCase();
  if (a.kind === "literal") return takesSame(b, a);
  if (b.kind === "literal") return a.constraints.every(({ accepts }) => accepts(b.text));
  return !a.constraints.some(({ name }) => b.constraints.some((other) => DISJOINT.has([name, other.name].toSorted().join(" "))));
}
