/**
 * Checks ARM bodies against Microsoft's published types (bicep-types-az), which lie beside the repository in `../shared/specs`. Where that
 * folder is absent, the checks are skipped and say so.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";

const generated = new URL("../../../shared/specs/bicep-types/generated/", import.meta.url);

/** Versions that our SDKs use and that aren't published there yet, with the published one that is nearest. */
export const nearestTypes: Readonly<Record<string, string>> = {
  "microsoft.network@2026-01-01": "2025-09-01",
};

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
  /** What is wrong with a body of a resource type, as `path: reason`; `undefined` when type or version aren't among the published ones. */
  check(resourceType: string, apiVersion: string, body: unknown, mode: Mode): string[] | undefined;
}

interface Body {
  types: Type[];
  type: Type;
}

let loaded: ArmSchemas | undefined;

/** Undefined, and a loud line on the console, where the specifications are absent. */
export function armSchemas(): ArmSchemas | undefined {
  if (loaded !== undefined) return loaded;
  if (!existsSync(generated)) {
    console.warn("SKIPPED: ARM bodies are not checked, ../shared/specs/bicep-types is absent");
    return undefined;
  }
  const files = readdirSync(generated, { recursive: true, encoding: "utf8" }).filter((file) => file.endsWith("/types.json"));
  const bodies = new Map<string, Map<string, Body>>();
  /** By `namespace@version`, read at its first use: all of them are megabytes. */
  const bodiesOf = (namespace: string, version: string): Map<string, Body> => {
    const key = `${namespace}@${version}`;
    const found = bodies.get(key) ?? readBodies(files.filter((file) => file.includes(`/${namespace}/${version}/`)));
    bodies.set(key, found);
    return found;
  };
  loaded = {
    check: (resourceType, apiVersion, body, mode) => {
      const type = resourceType.toLowerCase();
      const [namespace = ""] = type.split("/");
      const known = bodiesOf(namespace, nearestTypes[`${namespace}@${apiVersion}`] ?? apiVersion).get(type);
      if (known === undefined) return undefined;
      const { id: _id, type: _type, apiVersion: _version, name: _name, ...requested } = known.type.properties ?? {};
      const { apiVersion: _apiVersion, ...answered } = known.type.properties ?? {};
      const wanted = { ...known.type, properties: mode === "request" ? requested : answered };
      return findings(known.types, wanted, mode === "request" ? withoutAddress(body) : body, { path: "", mode });
    },
  };
  return loaded;
}

/** The bodies that some files describe, by resource type in lower case. */
function readBodies(files: string[]): Map<string, Body> {
  const described = files.flatMap((file) => {
    const types: Type[] = JSON.parse(readFileSync(new URL(file, generated), "utf8"));
    return types.flatMap((type) => {
      const name = type.$type === "ResourceType" ? type.name?.split("@")[0]?.toLowerCase() : undefined;
      return name === undefined || type.body === undefined ? [] : [[name, { types, type: resolve(types, type.body) }] as const];
    });
  });
  return new Map(described);
}

/**
 * What a path of ARM's is about: the type, in lower case, of the resource that it names, or of the members when it names a collection. An
 * extension resource (a role assignment) has the last provider of its path.
 */
export function addressed(path: string): { type: string; collection: boolean } {
  const [, namespace, rest = ""] = /^.*\/providers\/([^/]+)\/(.+)$/.exec(path.toLowerCase()) ?? [];
  if (namespace === undefined) {
    const group = /^\/+subscriptions\/[^/]+\/resourcegroups(\/[^/]+)?$/.exec(path.toLowerCase());
    return { type: `microsoft.resources/${group ? "resourcegroups" : "subscriptions"}`, collection: group?.[1] === undefined };
  }
  const parts = rest.split("/");
  const types = parts.filter((_, index) => index % 2 === 0);
  return { type: [namespace, ...types].join("/"), collection: parts.length % 2 === 1 };
}

/** A PUT may repeat what its URL says: id, name and type. */
function withoutAddress(body: unknown): unknown {
  if (!isObject(body)) return body;
  const address = new Set(["id", "name", "type"]);
  return Object.fromEntries(Object.entries(body).filter(([name, value]) => !(address.has(name) && typeof value === "string")));
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
