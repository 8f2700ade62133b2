/** Rules as they travel (Microsoft, "AMQP 1.0 in Azure Service Bus: request-response-based operations", rule operations). */
import { Refusal } from "../refusal.ts";
import { type Filter, type PropertyValue, type Rule, sqlFilter } from "../rules.ts";
import { described, list, map, nothing, type Typed, types } from "./values.ts";

/** Names in a request, in the order of an answer's list. */
const SYSTEM_PROPERTIES = [
  ["correlation-id", "correlationId"],
  ["message-id", "messageId"],
  ["to", "to"],
  ["reply-to", "replyTo"],
  ["label", "label"],
  ["session-id", "sessionId"],
  ["reply-to-session-id", "replyToSessionId"],
  ["content-type", "contentType"],
] as const;

/** Descriptors of an answer's parts; Microsoft gives those of filters a zero less (`@azure/core-amqp` `constants.ts`). */
const RULE = 0x137_0000_0004;
const NO_ACTION = 0x137_0000_0005;
const TRUE_FILTER = 0x1370000007;
const FALSE_FILTER = 0x1370000008;
const CORRELATION_FILTER = 0x1370000009;

type Fields = Record<string, unknown>;

/** @throws Refusal for what isn't modelled */
export function parseRule(name: string, description: Fields): Rule {
  if (description["sql-rule-action"]) throw new Refusal("amqp:not-implemented", "Rules with an action are not modelled here.");
  const correlation = description["correlation-filter"] as Fields | undefined;
  if (correlation) return { name, filter: parseCorrelation(correlation) };
  const sql = description["sql-filter"] as { expression?: string } | undefined;
  return { name, filter: sqlFilter(sql?.expression ?? "") };
}

function parseCorrelation(fields: Fields): Filter {
  const system = SYSTEM_PROPERTIES.flatMap(([wire, name]) =>
    typeof fields[wire] === "string" ? [[name, fields[wire]] as const] : [],
  );
  const properties = Object.entries((fields["properties"] ?? {}) as Fields).filter(
    (entry): entry is [string, PropertyValue] => entry[1] !== undefined && entry[1] !== null,
  );
  return { kind: "correlation", system: Object.fromEntries(system), properties: Object.fromEntries(properties) };
}

export const encodeRule = ({ name, filter }: Rule): Typed =>
  described(RULE, list([encodeFilter(filter), described(NO_ACTION, list([])), types.wrap_string(name)]));

function encodeFilter(filter: Filter): Typed {
  if (filter.kind !== "correlation") return described(filter.kind === "true" ? TRUE_FILTER : FALSE_FILTER, list([]));
  const system = SYSTEM_PROPERTIES.map(([, name]) => {
    const value = filter.system[name];
    return value === undefined ? nothing() : types.wrap_string(value);
  });
  const properties = Object.entries(filter.properties).flatMap(([key, value]) => [types.wrap_string(key), types.wrap(value)]);
  return described(CORRELATION_FILTER, list([...system, map(properties)]));
}
