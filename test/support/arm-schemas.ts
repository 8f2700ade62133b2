/**
 * Checks ARM bodies against Microsoft's published types (bicep-types-az), which lie beside the repository in `../shared/specs`. Where that
 * folder is absent, the checks are skipped and say so.
 */
import { existsSync, readFileSync } from "node:fs";

const generated = new URL("../../../shared/specs/bicep-types/generated/", import.meta.url);

/** Newest published types of each namespace; Network's are one version behind the SDK's, without a difference in what we use. */
const files = [
  "network/microsoft.network/2025-09-01/types.json",
  "compute_1/microsoft.compute/2026-04-01/types.json",
  "compute_1/microsoft.compute/2026-03-02/types.json",
  "keyvault/microsoft.keyvault/2026-02-01/types.json",
  "resources_7/microsoft.resources/2025-04-01/types.json",
  "resources_11/microsoft.resources/2025-04-01/types.json",
];

interface Reference {
  $ref: string;
}

interface Property {
  type: Reference;
  /** Required 1, read-only 2, write-only 4. */
  flags: number;
}

interface Type {
  $type: string;
  name?: string;
  body?: Reference;
  value?: string;
  pattern?: string;
  minLength?: number;
  maxLength?: number;
  minValue?: number;
  maxValue?: number;
  itemType?: Reference;
  elements?: Reference[] | Record<string, Reference>;
  properties?: Record<string, Property>;
  baseProperties?: Record<string, Property>;
  additionalProperties?: Reference;
  discriminator?: string;
}

type Mode = "request" | "response";

export interface ArmSchemas {
  /** What is wrong with a body of a resource type, as `path: reason`; `undefined` when the type is not among the published ones. */
  check(resourceType: string, body: unknown, mode: Mode): string[] | undefined;
}

let loaded: ArmSchemas | undefined;

/** Undefined, and a loud line on the console, where the specifications are absent. */
export function armSchemas(): ArmSchemas | undefined {
  if (loaded !== undefined) return loaded;
  if (!existsSync(generated)) {
    console.warn("SKIPPED: ARM bodies are not checked, ../shared/specs/bicep-types is absent");
    return undefined;
  }
  const resources = new Map<string, { types: Type[]; body: Type }>();
  for (const file of files) {
    const types: Type[] = JSON.parse(readFileSync(new URL(file, generated), "utf8"));
    for (const type of types) {
      const name = type.$type === "ResourceType" ? type.name?.split("@")[0]?.toLowerCase() : undefined;
      if (name !== undefined && type.body !== undefined && !resources.has(name))
        resources.set(name, { types, body: resolve(types, type.body) });
    }
  }
  loaded = {
    check: (resourceType, body, mode) => {
      const known = resources.get(resourceType.toLowerCase());
      if (known === undefined) return undefined;
      const { properties, ...type } = known.body;
      const { id: _id, type: _type, apiVersion: _version, name: _name, ...requested } = properties ?? {};
      const { apiVersion: _apiVersion, ...answered } = properties ?? {};
      const wanted = { ...type, properties: mode === "request" ? requested : answered };
      return findings(known.types, wanted, mode === "request" ? withoutAddress(body) : body, { path: "", mode });
    },
  };
  return loaded;
}

/** A PUT may repeat what its URL says: id, name and type. */
function withoutAddress(body: unknown): unknown {
  if (!isObject(body)) return body;
  const { id: _id, name: _name, type: _type, ...rest } = body;
  return rest;
}

const resolve = (types: Type[], { $ref }: Reference): Type => {
  const type = types[Number($ref.slice(2))];
  if (type === undefined) throw new Error(`no type ${$ref}`);
  return type;
};

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

interface Place {
  path: string;
  mode: Mode;
}

function findings(types: Type[], type: Type, value: unknown, place: Place): string[] {
  const { path } = place;
  const wrong = (condition: boolean, message: string): string[] => (condition ? [`${path}: ${message}`] : []);
  switch (type.$type) {
    case "AnyType":
      return [];
    case "StringType":
      if (typeof value !== "string") return wrong(true, "string expected");
      return [
        ...wrong(value.length < (type.minLength ?? 0) || value.length > (type.maxLength ?? Number.POSITIVE_INFINITY), "length"),
        ...wrong(type.pattern !== undefined && !new RegExp(type.pattern).test(value), `pattern ${type.pattern}`),
      ];
    case "StringLiteralType":
      return wrong(value !== type.value, `must be '${type.value}'`);
    case "IntegerType":
      if (typeof value !== "number") return wrong(true, "number expected");
      return wrong(value < (type.minValue ?? -Infinity) || value > (type.maxValue ?? Infinity), "range");
    case "BooleanType":
      return wrong(typeof value !== "boolean", "boolean expected");
    case "NullType":
      return wrong(value !== null, "null expected");
    case "ArrayType": {
      if (!Array.isArray(value) || type.itemType === undefined) return wrong(true, "array expected");
      const item = resolve(types, type.itemType);
      return value.flatMap((element, index) => findings(types, item, element, { ...place, path: `${path}/${index}` }));
    }
    case "UnionType": {
      const elements = Array.isArray(type.elements) ? type.elements : [];
      const fits = elements.some((element) => findings(types, resolve(types, element), value, place).length === 0);
      return wrong(!fits, `no member of the union is ${JSON.stringify(value)}`);
    }
    case "ObjectType":
      if (!isObject(value)) return wrong(true, "object expected");
      return memberFindings(types, { properties: type.properties ?? {}, additional: type.additionalProperties }, value, place);
    case "DiscriminatedObjectType": {
      const choice = isObject(value) ? value[type.discriminator ?? ""] : undefined;
      const element = Array.isArray(type.elements) || typeof choice !== "string" ? undefined : type.elements?.[choice];
      if (element === undefined || !isObject(value)) return wrong(true, `discriminator ${type.discriminator}`);
      const chosen = resolve(types, element);
      const properties = { ...type.baseProperties, ...chosen.properties };
      return memberFindings(types, { properties, additional: chosen.additionalProperties }, value, place);
    }
  }
  return wrong(true, `unknown kind of type ${type.$type}`);
}

function memberFindings(
  types: Type[],
  { properties, additional }: { properties: Record<string, Property>; additional: Reference | undefined },
  value: Record<string, unknown>,
  { path, mode }: Place,
): string[] {
  const declared = Object.entries(properties).flatMap(([name, { type, flags }]) => {
    const at = `${path}/${name}`;
    const given = value[name];
    if (given === undefined || given === null) {
      const required = (flags & 1) !== 0 && (flags & 2) === 0;
      return required && mode === "request" ? [`${at}: required`] : [];
    }
    if ((flags & 2) !== 0 && mode === "request") return [`${at}: read-only in a request`];
    if ((flags & 4) !== 0 && mode === "response") return [`${at}: write-only in an answer`];
    return findings(types, resolve(types, type), given, { path: at, mode });
  });
  const undeclared = Object.entries(value)
    .filter(([name, given]) => !(name in properties) && given !== undefined)
    .flatMap(([name, given]) =>
      additional === undefined
        ? [`${path}/${name}: unknown property`]
        : findings(types, resolve(types, additional), given, { path: `${path}/${name}`, mode }),
    );
  return [...declared, ...undeclared];
}
