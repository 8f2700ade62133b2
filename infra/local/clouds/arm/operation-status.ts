/** The two URLs of a long-running operation: its status (Azure-AsyncOperation) and its result (Location). */
import type { SimulatedResponse } from "../simulator.ts";
import { ArmError, type Json } from "./envelope.ts";
import type { Estate } from "./estate.ts";
import type { Operation } from "./operations.ts";

export function operationOf(estate: Estate, subscriptionId: string, operationId: string): Operation {
  const operation = estate.operations.get(operationId);
  if (operation === undefined || operation.subscriptionId.toLowerCase() !== subscriptionId.toLowerCase())
    throw new ArmError(404, "NotFound", `The entity was not found: operation '${operationId}'.`);
  return operation;
}

/** Network tells only the status, Compute its times as well. Source: both providers' answers in Microsoft's REST reference. */
export function operationStatus(operation: Operation): SimulatedResponse {
  const { status, error, namespace, id, startedAt, finishedAt } = operation;
  const times: Json = {
    startTime: new Date(startedAt).toISOString(),
    ...(finishedAt === undefined ? {} : { endTime: new Date(finishedAt).toISOString() }),
  };
  return {
    status: 200,
    ...(status === "InProgress" ? { headers: { "retry-after": namespace === "Microsoft.Network" ? "1" : "10" } } : {}),
    body: {
      ...(namespace === "Microsoft.Network" ? {} : { ...times, name: id }),
      status,
      ...(error === undefined ? {} : { error: { ...error } }),
    },
  };
}

/** 202 with the same Location while it runs; then the resource if it is there, or the error as ARM's body. */
export function operationResult(operation: Operation, url: string, resource?: Json): SimulatedResponse {
  if (operation.status === "InProgress")
    return { status: 202, headers: { location: url, "retry-after": operation.kind === "deleteResourceGroup" ? "15" : "1" } };
  if (operation.error !== undefined) throw new ArmError(409, operation.error.code, operation.error.message);
  if (operation.kind === "delete") return { status: 204 };
  return { status: 200, ...(operation.kind === "put" && resource !== undefined ? { body: resource } : {}) };
}
