/** Route templates of HTTP functions: ASP.NET's grammar, as far as the Functions host understands it. */

import { FunctionsSystemError } from "./functions-core.ts";

export interface RouteTemplate {
  text: string;
  segments: Segment[];
}

type Segment = Literal | Parameter | Composite;

interface Literal {
  kind: "literal";
  text: string;
}

interface Parameter {
  kind: "parameter";
  name: string;
  constraints: Constraint[];
  optional: boolean;
  fallback: string | undefined;
  rest: boolean;
}

/** Such as `{name}.{extension}`: parameters with text between them. */
interface Composite {
  kind: "composite";
  parts: (Literal | Parameter)[];
}

interface Constraint {
  name: string;
  accepts: (value: string) => boolean;
}

const number = (argument: string | undefined): number => Number(argument);
const isInteger = (value: string): boolean => /^-?\d+$/u.test(value);
const isNumber = (value: string): boolean => value !== "" && !Number.isNaN(Number(value));

/** Microsoft.AspNetCore.Routing.Constraints. */
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
  // Anywhere in the value unless the expression says otherwise, and in any case (RegexInlineRouteConstraint.cs).
  regex: (pattern) => {
    const expression = new RegExp(pattern, "iu");
    return (value) => expression.test(value);
  },
  required: () => (value) => value !== "",
};

/** @throws FunctionsSystemError for what this grammar doesn't have */
export function parseTemplate(text: string): RouteTemplate {
  const trimmed = text.replaceAll(/^\/+|\/+$/gu, "");
  return { text: trimmed, segments: trimmed === "" ? [] : segmentsIn(trimmed).map((segment) => parseSegment(segment, text)) };
}

/** What is between slashes; those within braces belong to an expression. In there, braces of its own are doubled. */
const segmentsIn = (text: string): string[] => text.match(/(?:\{(?:\{\{|\}\}|[^{}])*\}|[^/])+/gu) ?? [];

function parseSegment(text: string, template: string): Segment {
  const misunderstood = (): FunctionsSystemError =>
    new FunctionsSystemError(`segment '${text}' of route '${template}' isn't understood`);
  const pieces = text.match(/\{(?:\{\{|\}\}|[^{}])*\}|[^{}]+|[{}]/gu) ?? [];
  if (pieces.some((piece) => /^[{}]$/u.test(piece))) throw misunderstood();
  const parts = pieces.map((piece): Literal | Parameter =>
    piece.startsWith("{") ? parseParameter(piece.slice(1, -1), template, misunderstood) : { kind: "literal", text: piece },
  );
  const [only] = parts;
  if (only && parts.length === 1) return only;
  for (const [index, part] of parts.entries()) {
    const simple = part.kind === "literal" || !(part.optional || part.rest || part.fallback !== undefined);
    // Where one ends and the next begins, only text can tell.
    if (!simple || (part.kind === "parameter" && parts[index + 1]?.kind === "parameter")) throw misunderstood();
  }
  return { kind: "composite", parts };
}

/** `*name:constraint(arguments):another=value`, or a question mark at its end (InlineRouteParameterParser.cs). */
function parseParameter(text: string, template: string, misunderstood: () => Error): Parameter {
  const [, stars, name, behind = ""] = /^(\*{0,2})(\w+)(.*)$/su.exec(text) ?? [];
  if (name === undefined) throw misunderstood();
  const optional = behind.endsWith("?");
  const [whole, constraints = "", fallback] =
    /^((?::[a-z]+(?:\(.*?\)(?=:[a-z]|=|$))?)*)(?:=(.*))?$/isu.exec(optional ? behind.slice(0, -1) : behind) ?? [];
  if (whole === undefined) throw misunderstood();
  return {
    kind: "parameter",
    name,
    constraints: [...constraints.matchAll(/:([a-z]+)(?:\((.*?)\)(?=:[a-z]|$))?/gisu)].map(([, key = "", args = ""]) =>
      parseConstraint(key, args.replaceAll("{{", "{").replaceAll("}}", "}"), template),
    ),
    optional,
    fallback,
    rest: stars !== "",
  };
}

function parseConstraint(key: string, argumentText: string, template: string): Constraint {
  const name = key.toLowerCase();
  const create = CONSTRAINTS[name];
  if (!create) throw new FunctionsSystemError(`constraint '${key}' of route '${template}' isn't known`);
  const [first = "", second] = name === "regex" ? [argumentText] : argumentText.split(",");
  try {
    return { name, accepts: create(first, second) };
  } catch (error) {
    throw new FunctionsSystemError(`constraint '${key}' of route '${template}' can't be read: ${(error as Error).message}`);
  }
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
    if (segment.kind === "composite") {
      const found = value === undefined ? undefined : matchParts(segment, value);
      if (!found) return undefined;
      Object.assign(parameters, found);
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

/** Parameters to the left take as much as they can, as with ASP.NET, which matches from the right. */
function matchParts({ parts }: Composite, value: string): Record<string, string> | undefined {
  const pattern = parts.map((part) => (part.kind === "literal" ? part.text.replaceAll(/[\\^$.*+?()[\]{}|]/gu, "\\$&") : "(.+)"));
  const [matched, ...values] = new RegExp(`^${pattern.join("")}$`, "isu").exec(value) ?? [];
  if (matched === undefined) return undefined;
  const parameters = parts.filter((part) => part.kind === "parameter");
  const accepted = parameters.every(({ constraints }, index) => constraints.every(({ accepts }) => accepts(values[index] ?? "")));
  return accepted ? Object.fromEntries(parameters.map(({ name }, index) => [name, values[index] ?? ""])) : undefined;
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
  if (b.kind === "literal")
    return a.kind === "composite" ? matchParts(a, b.text) !== undefined : a.constraints.every(({ accepts }) => accepts(b.text));
  // Which values two composites share, only their ends tell.
  if (a.kind === "composite" || b.kind === "composite") return sameEnds(endsOf(a), endsOf(b));
  return !a.constraints.some(({ name }) => b.constraints.some((other) => DISJOINT.has([name, other.name].toSorted().join(" "))));
}

const endsOf = (segment: Parameter | Composite): { first: string; last: string } => {
  const parts = segment.kind === "composite" ? segment.parts : [];
  const text = (part: Literal | Parameter | undefined): string => (part?.kind === "literal" ? part.text.toLowerCase() : "");
  return { first: text(parts[0]), last: text(parts.at(-1)) };
};

type Ends = ReturnType<typeof endsOf>;

const sameEnds = (a: Ends, b: Ends): boolean =>
  (a.first.startsWith(b.first) || b.first.startsWith(a.first)) && (a.last.endsWith(b.last) || b.last.endsWith(a.last));
