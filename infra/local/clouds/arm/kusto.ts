/**
 * A small part of the Kusto query language, as Resource Graph takes it: a table, then `where`, `extend`, `project`, `join`, `order by`
 * and `take`. What it does not know it refuses as Resource Graph refuses a query that it can't parse, so that no query passes here by luck.
 *
 * Expressions: strings, numbers, `true`, `false`, columns with paths (`properties.a.b`, `tags['c']`), `==` `!=` `=~` `!~`, `in` and `in~`
 * over literals, `and`, `or`, parentheses, `not`, `tolower`, `toupper`, `tostring`, `isempty`, `isnotempty`, `isnull`, `isnotnull`.
 * Joins: `kind=inner` and `kind=leftouter`, `on` one column or `$left.a == $right.b`.
 */
import type { Json } from "./envelope.ts";

export interface TableOfRows {
  columns: readonly string[];
  rows(): Json[];
}

export interface Result {
  columns: string[];
  rows: Json[];
  /** A `take` cut it, so there is no next page. */
  limited: boolean;
}

/** One of the details that Resource Graph's BadRequest has. */
export type Finding = { code: string; message: string } & Record<string, string | number>;

export class QueryRefused extends Error {
  readonly finding: Finding;

  constructor(finding: Finding) {
    super(finding.message);
    this.name = "QueryRefused";
    this.finding = finding;
  }
}

export function runQuery(query: string, tableNamed: (name: string) => TableOfRows | undefined): Result {
  const reader = readerOf(query);
  const result = pipeline(reader, tableNamed);
  if (reader.peek() !== undefined) throw reader.refusal();
  return result;
}

interface Token {
  kind: "word" | "text" | "number" | "sign";
  text: string;
  at: number;
}

interface Reader {
  peek(): Token | undefined;
  next(): Token;
  /** Takes the token if it is this word or sign; words compare without case. */
  takes(text: string): boolean;
  expects(text: string): void;
  word(): string;
  refusal(token?: Token): QueryRefused;
}

const pattern =
  /\s+|\/\/[^\n]*|(?<text>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")|(?<number>\d+(?:\.\d+)?)|(?<word>\$?[A-Za-z_]\w*~?)|(?<sign>==|!=|=~|!~|[|=()[\],.])/gy;

function readerOf(query: string): Reader {
  const tokens: Token[] = [];
  pattern.lastIndex = 0;
  while (pattern.lastIndex < query.length) {
    const at = pattern.lastIndex;
    const match = pattern.exec(query);
    if (match === null) throw parserFailure(query, at, query[at] ?? "");
    const { text, number, word, sign } = match.groups ?? {};
    if (text !== undefined) tokens.push({ kind: "text", text: text.slice(1, -1).replace(/\\(.)/g, "$1"), at });
    else if (number !== undefined) tokens.push({ kind: "number", text: number, at });
    else if (word !== undefined) tokens.push({ kind: "word", text: word, at });
    else if (sign !== undefined) tokens.push({ kind: "sign", text: sign, at });
  }
  let position = 0;
  const reader: Reader = {
    peek: () => tokens[position],
    next: () => {
      const token = tokens[position];
      if (token === undefined) throw reader.refusal();
      position += 1;
      return token;
    },
    takes: (text) => {
      const token = tokens[position];
      const is = token !== undefined && token.kind !== "text" && token.text.toLowerCase() === text;
      if (is) position += 1;
      return is;
    },
    expects: (text) => {
      if (!reader.takes(text)) throw reader.refusal();
    },
    word: () => {
      const token = reader.next();
      if (token.kind !== "word") throw reader.refusal(token);
      return token.text;
    },
    refusal: (token = tokens[position]) => parserFailure(query, token?.at ?? query.length, token?.text ?? "<EOF>"),
  };
  return reader;
}

/** Line from 1 and character from 0, as Resource Graph counts them. */
function parserFailure(query: string, at: number, token: string): QueryRefused {
  const before = query.slice(0, at).split("\n");
  const position = { line: before.length, characterPositionInLine: before.at(-1)?.length ?? 0 };
  return new QueryRefused({ code: "ParserFailure", message: "ParserFailure", ...position, token });
}

const semanticError = (message: string): QueryRefused => new QueryRefused({ code: "SemanticError", message });

type Tables = (name: string) => TableOfRows | undefined;

function pipeline(reader: Reader, tableNamed: Tables): Result {
  const name = reader.word();
  const table = tableNamed(name);
  if (table === undefined) throw new QueryRefused({ code: "InvalidTableName", message: `Table ${name} is invalid.` });
  let result: Result = { columns: [...table.columns], rows: table.rows(), limited: false };
  while (reader.takes("|")) result = operators[reader.word().toLowerCase()]?.(reader, result, tableNamed) ?? refuse(reader);
  return result;
}

function refuse(reader: Reader): never {
  throw reader.refusal();
}

const operators: Record<string, (reader: Reader, result: Result, tables: Tables) => Result> = {
  where: (reader, { columns, rows, limited }) => {
    const condition = anyOf(reader, columns);
    return { columns, limited, rows: rows.filter((row) => condition(row) === true) };
  },
  extend: (reader, { columns, rows, limited }) => {
    const added = assignments(reader, columns, true);
    const names = added.map(({ name }) => name);
    return {
      columns: [...columns.filter((column) => !names.includes(column)), ...names],
      limited,
      rows: rows.map((row) => ({ ...row, ...valuesOf(added, row) })),
    };
  },
  project: (reader, { columns, rows, limited }) => {
    const kept = assignments(reader, columns, false);
    return { columns: kept.map(({ name }) => name), limited, rows: rows.map((row) => valuesOf(kept, row)) };
  },
  join: joined,
  order: ordered,
  sort: ordered,
  take: limitedTo,
  limit: limitedTo,
};

type Expression = (row: Json) => unknown;
interface Assignment {
  name: string;
  value: Expression;
}

const valuesOf = (assigned: Assignment[], row: Json): Json =>
  Object.fromEntries(assigned.map(({ name, value }) => [name, value(row) ?? null]));

/** `a = expression, b`; a name alone is possible where columns are chosen. */
function assignments(reader: Reader, columns: readonly string[], named: boolean): Assignment[] {
  const list: Assignment[] = [];
  do {
    const token = reader.peek();
    const name = reader.word();
    if (reader.takes("=")) list.push({ name, value: anyOf(reader, columns) });
    else if (named || !columns.includes(name)) throw named ? reader.refusal(token) : unresolved(name);
    else list.push({ name, value: (row) => row[name] });
  } while (reader.takes(","));
  return list;
}

function joined(reader: Reader, left: Result, tables: Tables): Result {
  let kind = "innerunique";
  if (reader.takes("kind")) {
    reader.expects("=");
    kind = reader.word().toLowerCase();
  }
  if (kind !== "inner" && kind !== "leftouter") throw reader.refusal();
  reader.expects("(");
  const right = pipeline(reader, tables);
  reader.expects(")");
  reader.expects("on");
  const [leftKey, rightKey] = joinKeys(reader);
  if (!left.columns.includes(leftKey)) throw unresolved(leftKey);
  if (!right.columns.includes(rightKey)) throw unresolved(rightKey);
  const names = right.columns.map((column) => [column, left.columns.includes(column) ? `${column}1` : column] as const);
  const byKey = Map.groupBy(right.rows, (row) => row[rightKey]);
  const nothing: Json = Object.fromEntries(right.columns.map((column) => [column, null]));
  return {
    columns: [...left.columns, ...names.map(([, name]) => name)],
    limited: left.limited || right.limited,
    rows: left.rows.flatMap((row) => {
      const matches = byKey.get(row[leftKey]) ?? (kind === "leftouter" ? [nothing] : []);
      return matches.map((match) => ({ ...row, ...Object.fromEntries(names.map(([from, to]) => [to, match[from]])) }));
    }),
  };
}

function joinKeys(reader: Reader): [left: string, right: string] {
  const first = reader.word();
  if (first.toLowerCase() !== "$left") return [first, first];
  reader.expects(".");
  const left = reader.word();
  reader.expects("==");
  reader.expects("$right");
  reader.expects(".");
  return [left, reader.word()];
}

function ordered(reader: Reader, { columns, rows, limited }: Result): Result {
  reader.expects("by");
  const column = reader.word();
  if (!columns.includes(column)) throw unresolved(column);
  // Kusto sorts downwards unless told otherwise.
  const direction = reader.takes("asc") ? 1 : (reader.takes("desc"), -1);
  const compare = (one: Json, other: Json): number => {
    const [a, b] = [String(one[column]), String(other[column])];
    return a === b ? 0 : a < b ? -direction : direction;
  };
  return { columns, limited, rows: rows.toSorted(compare) };
}

function limitedTo(reader: Reader, { columns, rows }: Result): Result {
  const count = reader.next();
  if (count.kind !== "number") throw reader.refusal(count);
  return { columns, rows: rows.slice(0, Number(count.text)), limited: true };
}

function anyOf(reader: Reader, columns: readonly string[]): Expression {
  const parts = [allOf(reader, columns)];
  while (reader.takes("or")) parts.push(allOf(reader, columns));
  return parts.length === 1 ? (parts[0] as Expression) : (row) => parts.some((part) => part(row) === true);
}

function allOf(reader: Reader, columns: readonly string[]): Expression {
  const parts = [comparison(reader, columns)];
  while (reader.takes("and")) parts.push(comparison(reader, columns));
  return parts.length === 1 ? (parts[0] as Expression) : (row) => parts.every((part) => part(row) === true);
}

const text = (value: unknown): string =>
  value === null || value === undefined ? "" : typeof value === "string" ? value : JSON.stringify(value);
const lower = (value: unknown): string => text(value).toLowerCase();

const comparisons: Record<string, (one: unknown, other: unknown) => boolean> = {
  "==": (one, other) => text(one) === text(other),
  "!=": (one, other) => text(one) !== text(other),
  "=~": (one, other) => lower(one) === lower(other),
  "!~": (one, other) => lower(one) !== lower(other),
};

function comparison(reader: Reader, columns: readonly string[]): Expression {
  const left = operand(reader, columns);
  for (const [sign, holds] of Object.entries(comparisons)) {
    if (!reader.takes(sign)) continue;
    const right = operand(reader, columns);
    return (row) => holds(left(row), right(row));
  }
  for (const [sign, fold] of [
    ["in~", lower],
    ["in", text],
  ] as const) {
    if (!reader.takes(sign)) continue;
    reader.expects("(");
    const values: string[] = [];
    do {
      const value = reader.next();
      if (value.kind !== "text" && value.kind !== "number") throw reader.refusal(value);
      values.push(fold(value.text));
    } while (reader.takes(","));
    reader.expects(")");
    return (row) => values.includes(fold(left(row)));
  }
  return left;
}

const functions: Record<string, (value: unknown) => unknown> = {
  not: (value) => value !== true,
  tolower: lower,
  toupper: (value) => text(value).toUpperCase(),
  tostring: text,
  isempty: (value) => text(value) === "",
  isnotempty: (value) => text(value) !== "",
  isnull: (value) => value === null || value === undefined,
  isnotnull: (value) => value !== null && value !== undefined,
};

function operand(reader: Reader, columns: readonly string[]): Expression {
  if (reader.takes("(")) {
    const inner = anyOf(reader, columns);
    reader.expects(")");
    return inner;
  }
  const token = reader.next();
  if (token.kind === "text") return () => token.text;
  if (token.kind === "number") return () => Number(token.text);
  if (token.kind !== "word") throw reader.refusal(token);
  if (/^(true|false)$/i.test(token.text)) return () => token.text.toLowerCase() === "true";
  if (reader.takes("(")) {
    const run = functions[token.text.toLowerCase()];
    if (run === undefined) throw new QueryRefused({ code: "UnknownFunction", message: `Unknown function: '${token.text}'.` });
    const inner = anyOf(reader, columns);
    reader.expects(")");
    return (row) => run(inner(row));
  }
  if (!columns.includes(token.text)) throw unresolved(token.text);
  return pathFrom(reader, token.text);
}

/** `properties.extended.instanceView`, `tags['gatehouse-tenant']`; names inside dynamic values keep their case. */
function pathFrom(reader: Reader, column: string): Expression {
  const path: string[] = [];
  while (true) {
    if (reader.takes(".")) path.push(reader.word());
    else if (reader.takes("[")) {
      const key = reader.next();
      if (key.kind !== "text") throw reader.refusal(key);
      path.push(key.text);
      reader.expects("]");
    } else break;
  }
  return (row) =>
    path.reduce<unknown>(
      (value, key) => (typeof value === "object" && value !== null ? (value as Json)[key] : undefined),
      row[column],
    );
}

const unresolved = (name: string): QueryRefused =>
  semanticError(`Failed to resolve column or scalar expression named '${name}'.`);
