/**
 * Microsoft.Resources/tags at the scope of a resource group or of a resource: the one door that changes tags and nothing else. Source:
 * resources.json 2024-07-01, Tags_GetAtScope and Tags_UpdateAtScope.
 */
import * as z from "zod";
import type { SimulatedResponse } from "../simulator.ts";
import { ArmError, type Json, parseBody, tagsSchema } from "./envelope.ts";
import { type Estate, keyOf } from "./estate.ts";
import type { ResourceType } from "./resource-type.ts";
import { methodNotAllowed, retagged } from "./resources.ts";

const patchSchema = z.looseObject({
  operation: z.enum(["Replace", "Merge", "Delete"]),
  properties: z.looseObject({ tags: tagsSchema.default({}) }),
});

type Tags = Record<string, string>;

/** The scope's tags, and how they are replaced. */
interface Tagged {
  tags: Tags;
  replace(tags: Tags): void;
}

export function answerTags(
  estate: Estate,
  types: Map<string, ResourceType>,
  { scope, method, body }: { scope: string; method: string; body: unknown },
): SimulatedResponse {
  const tagged = tagsOf(estate, types, scope);
  if (method === "GET") return { status: 200, body: shown(scope, tagged.tags) };
  if (method !== "PATCH") throw methodNotAllowed(method);
  const { operation, properties } = parseBody(patchSchema, body);
  const tags = tagsSchema.parse(changed(tagged.tags, operation, properties.tags));
  tagged.replace(tags);
  return { status: 200, body: shown(scope, tags), effect: "write" };
}

function tagsOf(estate: Estate, types: Map<string, ResourceType>, scope: string): Tagged {
  const group = estate.resourceGroups.get(keyOf(scope));
  if (group) return { tags: group.tags, replace: (tags) => estate.resourceGroups.set(keyOf(scope), { ...group, tags }) };
  const resource = estate.resource(scope);
  const type = resource && types.get(resource.type.toLowerCase());
  if (resource && type)
    return { tags: (resource.body["tags"] ?? {}) as Tags, replace: (tags) => void retagged(estate, type, resource, tags) };
  throw new ArmError(404, "ResourceNotFound", `The Resource '${scope.split("/providers/").at(-1)}' was not found.`);
}

/** Names compare without case. */
function changed(known: Tags, operation: z.output<typeof patchSchema>["operation"], given: Tags): Tags {
  if (operation === "Replace") return given;
  const named = new Set(Object.keys(given).map((name) => name.toLowerCase()));
  const others = Object.fromEntries(Object.entries(known).filter(([name]) => !named.has(name.toLowerCase())));
  return operation === "Delete" ? others : { ...others, ...given };
}

const shown = (scope: string, tags: Tags): Json => ({
  id: `${scope}/providers/Microsoft.Resources/tags/default`,
  name: "default",
  type: "Microsoft.Resources/tags",
  properties: { tags },
});
