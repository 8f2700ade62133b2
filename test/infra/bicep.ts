/** A Bicep file as the tests see it: its parameters, variables, resources, modules and outputs, and values as far as they are literal. */
import type { Node, Tree } from "web-tree-sitter";
import { read } from "../presubmit/sources.ts";
import { everyNode, grammar } from "../support/syntax-trees.ts";

const parse = await grammar("bicep");

/** What is computed when it is deployed: the expression's text. */
export interface Expression {
  expression: string;
}

export type Value = string | number | boolean | Expression | Value[] | { [name: string]: Value };

export interface Parameter {
  name: string;
  required: boolean;
  allowed: Value[] | undefined;
  secure: boolean;
}

export interface Resource {
  /** Its name in the file. */
  symbol: string;
  /** With the types of the resources that it is nested in. */
  type: string;
  apiVersion: string;
  existing: boolean;
  body: { [name: string]: Value };
}

export interface Module {
  symbol: string;
  file: string;
  parameters: string[];
}

export interface BicepFile {
  file: string;
  tree: Tree;
  description: string | undefined;
  parameters: Parameter[];
  variables: Record<string, Value>;
  resources: Resource[];
  modules: Module[];
  outputs: { name: string; text: string }[];
}

/** Of a file that can't be read only the tree: `syntaxErrors` says where. */
export function readBicep(file: string): BicepFile {
  const tree = parse(read(file));
  const declarations = tree.rootNode.hasError ? [] : tree.rootNode.namedChildren;
  const described = declarations.find(
    ({ type, text }) => type === "metadata_declaration" && /^metadata description\b/.test(text),
  );
  return {
    file,
    tree,
    description: described === undefined ? undefined : textOf(described.namedChildren.at(-1)),
    parameters: declarations.flatMap((node, index) =>
      node.type === "parameter_declaration" ? [parameterOf(node, declarations[index - 1])] : [],
    ),
    variables: Object.fromEntries(
      declarations
        .filter(({ type }) => type === "variable_declaration")
        .map((node) => [symbolOf(node), valueOf(node.namedChildren.at(-1))]),
    ),
    resources: declarations.filter(({ type }) => type === "resource_declaration").flatMap((node) => resourcesOf(node)),
    modules: declarations.filter(({ type }) => type === "module_declaration").map(moduleOf),
    outputs: declarations
      .filter(({ type }) => type === "output_declaration")
      .map((node) => ({ name: symbolOf(node), text: node.text })),
  };
}

/** A literal string, without its quotes; an interpolated one as it stands. */
const textOf = (node: Node | undefined): string => node?.text.slice(1, -1).replaceAll(/\\(.)/g, "$1") ?? "";

const symbolOf = (node: Node): string => node.namedChildren[0]?.text ?? "";

function parameterOf(node: Node, before: Node | undefined): Parameter {
  const decorators = before?.type === "decorators" ? before : undefined;
  const calls = decorators === undefined ? [] : [...everyNode(decorators)].filter(({ type }) => type === "call_expression");
  const allowed = calls.find((call) => symbolOf(call) === "allowed");
  const list = allowed === undefined ? undefined : valueOf(allowed.namedChildren[1]?.namedChildren[0]);
  const nullable = node.namedChildren.some(({ namedChildren }) => namedChildren.some(({ type }) => type === "nullable_type"));
  return {
    name: symbolOf(node),
    required: node.namedChildCount < 3 && !nullable,
    allowed: Array.isArray(list) ? list : undefined,
    secure: calls.some((call) => symbolOf(call) === "secure"),
  };
}

/** The object that a resource or module consists of, behind loops and conditions. */
function bodyOf(node: Node): Node {
  const last = node.namedChildren.at(-1);
  if (last === undefined) throw new Error(`${node.text} has no body`);
  return last.type === "object" ? last : bodyOf(last);
}

function resourcesOf(node: Node, parent?: { type: string; apiVersion: string }): Resource[] {
  const [type = "", apiVersion = parent?.apiVersion ?? ""] = textOf(node.namedChildren[1]).split("@");
  const whole = { type: parent === undefined ? type : `${parent.type}/${type}`, apiVersion };
  const body = bodyOf(node);
  const nested = body.namedChildren.flatMap(({ namedChildren: [first] }) =>
    first?.type === "resource_declaration" ? resourcesOf(first, whole) : [],
  );
  const existing = node.children.some((child) => child.type === "existing");
  return [{ symbol: symbolOf(node), ...whole, existing, body: valueOf(body) as { [name: string]: Value } }, ...nested];
}

function moduleOf(node: Node): Module {
  const { params } = valueOf(bodyOf(node)) as { params?: Value };
  return { symbol: symbolOf(node), file: textOf(node.namedChildren[1]), parameters: Object.keys(params ?? {}) };
}

export function valueOf(node: Node | undefined): Value {
  switch (node?.type) {
    case "string":
      return node.namedChildren.some(({ type }) => type === "interpolation") ? { expression: node.text } : textOf(node);
    case "number":
      return Number(node.text);
    case "boolean":
      return node.text === "true";
    case "array":
      return node.namedChildren.filter(({ type }) => type !== "comment").map(valueOf);
    case "object":
      return Object.fromEntries(
        node.namedChildren
          .filter(({ type, namedChildren: [first] }) => type === "object_property" && first?.type !== "resource_declaration")
          .map(({ namedChildren: [name, value] }) => [
            name?.type === "string" ? textOf(name) : (name?.text ?? ""),
            valueOf(value),
          ]),
      );
    default:
      return { expression: node?.text ?? "" };
  }
}

/** Every object inside a value, itself included. */
export function* everyObject(value: Value): Generator<{ [name: string]: Value }> {
  if (typeof value !== "object") return;
  if (!Array.isArray(value)) yield value as { [name: string]: Value };
  for (const inner of Object.values(value) as Value[]) yield* everyObject(inner);
}
