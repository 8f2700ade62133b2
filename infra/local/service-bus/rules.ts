/** Which messages of its topic a subscription takes: the rules, their filters, and what they look at. */
import { applicationPropertiesOf, type Content, type SystemProperty, systemPropertiesOf } from "./amqp/content.ts";
import { Refusal } from "./refusal.ts";

export interface Rule {
  name: string;
  filter: Filter;
}

export type PropertyValue = string | number | boolean | Date;

/** All that a correlation filter names must be equal, letter by letter. */
export type Filter =
  | { kind: "true" }
  | { kind: "false" }
  | {
      kind: "correlation";
      system: { [name in SystemProperty]?: string | undefined };
      properties: Record<string, PropertyValue>;
    };

/** @throws Refusal for whatever is neither always nor never true */
export function sqlFilter(expression: string): Filter {
  const words = expression.replaceAll(/\s/g, "");
  if (words === "1=1") return { kind: "true" };
  if (words === "1=0") return { kind: "false" };
  throw new Refusal(
    "amqp:not-implemented",
    `SQL filters other than 1=1 and 1=0 are not modelled here: '${expression}'. Use a correlation filter.`,
  );
}

export interface Rules {
  list(): Rule[];
  /** @throws Refusal if there is one of that name */
  add(rule: Rule): void;
  /** @throws Refusal if there is none of that name */
  remove(name: string): void;
  /** One that matches is enough. */
  match(content: Content): boolean;
}

/** @param save notes the rules that hold from now on */
export function createRules(subscription: string, initial: Rule[], save: (rules: Rule[]) => void): Rules {
  let rules = initial;
  const change = (changed: Rule[]): void => {
    rules = changed;
    save(rules);
  };

  return {
    list: () => rules,
    add(rule) {
      if (rules.some(({ name }) => name === rule.name))
        throw new Refusal(
          "com.microsoft:entity-already-exists",
          `The messaging entity '${subscription}|${rule.name}' already exists.`,
        );
      change([...rules, rule]);
    },
    remove(name) {
      const left = rules.filter((rule) => rule.name !== name);
      if (left.length === rules.length)
        throw new Refusal("amqp:not-found", `The messaging entity '${subscription}|${name}' could not be found.`);
      change(left);
    },
    match: (content) => rules.some(({ filter }) => matches(filter, content)),
  };
}

function matches(filter: Filter, content: Content): boolean {
  if (filter.kind !== "correlation") return filter.kind === "true";
  const system = systemPropertiesOf(content);
  const properties = applicationPropertiesOf(content);
  return (
    Object.entries(filter.system).every(([name, value]) => value === undefined || system[name as SystemProperty] === value) &&
    Object.entries(filter.properties).every(([name, value]) => equal(properties[name], value))
  );
}

const equal = (one: unknown, other: PropertyValue): boolean =>
  one instanceof Date && other instanceof Date ? one.getTime() === other.getTime() : one === other;
