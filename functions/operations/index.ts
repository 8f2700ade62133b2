/** Operations: partners watch work that takes its time, and the generic steps over resources that all such work is made of. */
import { endpoint } from "../../shared/api/endpoint.ts";
import { registerHttp } from "../../shared/api/register.ts";
import type { ApiWorld } from "../../shared/api/world.ts";
import type { Azure } from "../../shared/azure/client.ts";
import { registerActivities, registerOrchestrator } from "../../shared/durable/register.ts";
import { waitForOperation } from "../../shared/durable/resources.ts";
import { createResourceActivities } from "../../shared/resources/activities.ts";
import type { Resources } from "../../shared/resources/index.ts";
import type { Certificates } from "../../shared/vault/certificates.ts";
import { getOperation, listOperations } from "./http.ts";

export interface OperationsWorld extends ApiWorld {
  azure: Azure;
  certificates: Certificates;
  resources: Resources;
  reportFailure(activity: string, error: unknown): void;
}

export function registerOperations(world: OperationsWorld): void {
  registerHttp("getOperation", endpoint("getOperation", world, getOperation(world)));
  registerHttp("listOperations", endpoint("listOperations", world, listOperations(world)));

  const { resources, azure, certificates, stores } = world;
  registerOrchestrator(waitForOperation);
  const activities = createResourceActivities({ resources, azure, certificates, operations: stores.operations });
  registerActivities(activities, (name, error) => world.reportFailure(name, error));
}
