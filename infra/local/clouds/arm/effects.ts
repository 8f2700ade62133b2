/** What is true when an operation's deadline has passed: the resource is there, gone, running, or failed as it was ordered to. */
import type { Json } from "./envelope.ts";
import { keyOf } from "./estate.ts";
import type { Arm } from "./index.ts";
import type { Effect, Failure, Operation, OperationKind } from "./operations.ts";
import { removeGroup } from "./resource-groups.ts";
import type { ResourceType } from "./resource-type.ts";
import { runCommandEffect, type Fetch } from "./run-commands.ts";

export function effectsOn({ estate, types }: Arm, fetch: Fetch): Record<OperationKind, Effect> {
  const typeOf = (operation: Operation): ResourceType | undefined =>
    types.get(estate.resource(operation.target)?.type.toLowerCase() ?? "");
  const setProperties = (target: string, properties: Json): void => {
    const resource = estate.resource(target);
    if (resource !== undefined)
      estate.save({ ...resource, body: { ...resource.body, properties: { ...resource.body.properties, ...properties } } });
  };
  const runCommand = runCommandEffect(estate, fetch);
  return {
    put: (operation) => {
      const resource = estate.resource(operation.target);
      const type = typeOf(operation);
      const ordered = operation.facts["failure"] as Failure | undefined;
      const failure = resource === undefined || type?.created === undefined ? ordered : type.created(resource, ordered);
      const { property = "provisioningState", ready = "Succeeded" } = type?.progress ?? {};
      setProperties(operation.target, { [property]: failure === undefined ? ready : "Failed" });
      return failure;
    },
    delete: (operation) => {
      const resource = estate.resource(operation.target);
      const ordered = operation.facts["failure"] as Failure | undefined;
      if (ordered !== undefined) {
        setProperties(operation.target, { provisioningState: "Failed" });
        return ordered;
      }
      if (resource !== undefined) typeOf(operation)?.deleted?.(resource);
      estate.remove(operation.target);
      return undefined;
    },
    deleteResourceGroup: (operation) => {
      removeGroup(estate, operation, {
        types: [...types.values()].map(({ type }) => type),
        removed: (resource) => types.get(resource.type.toLowerCase())?.deleted?.(resource),
      });
      return undefined;
    },
    purgeVault: (operation) => {
      estate.deletedVaults.delete(keyOf(String(operation.facts["name"])));
      return undefined;
    },
    power: (operation) => {
      const resource = estate.resource(operation.target);
      if (resource !== undefined) estate.save({ ...resource, facts: { ...resource.facts, power: operation.facts["power"] } });
      return undefined;
    },
    runCommand: (operation) => {
      const ordered = operation.facts["failure"] as Failure | undefined;
      if (ordered === undefined) return runCommand(operation);
      setProperties(operation.target, { provisioningState: "Failed" });
      return ordered;
    },
  };
}
