/** Operations: partners watch and stop work that takes its time, and the generic steps over resources that all such work is made of. */
import { endpoint } from "../../shared/api/endpoint.ts";
import { registerDurableHttp, registerHttp } from "../../shared/api/register.ts";
import type { KindsOfOperation } from "../../shared/durable/operation-kinds.ts";
import { registerActivities, registerOrchestrator } from "../../shared/durable/register.ts";
import { waitForOperation } from "../../shared/durable/resources.ts";
import { createResourceActivities } from "../../shared/resources/activities.ts";
import { cancelOperation } from "./cancel.ts";
import { getBeforeImage, getOperation, listOperations } from "./http.ts";
import { retryOperation } from "./retry.ts";
import { rollBackOperation, waitUntilStopped } from "./roll-back.ts";
import { createRollBackActivities } from "./roll-back-activities.ts";
import { skipStep } from "./skip.ts";
import type { OperationsWorld } from "./world.ts";

export function registerOperations(world: OperationsWorld, kinds: KindsOfOperation): void {
  registerHttp("getOperation", endpoint("getOperation", world, getOperation(world)));
  registerHttp("listOperations", endpoint("listOperations", world, listOperations(world)));
  registerHttp("getBeforeImage", endpoint("getBeforeImage", world, getBeforeImage(world)));
  registerHttp("skipStep", skipStep(world));
  registerDurableHttp("retryOperation", (client) => retryOperation(world, kinds, client));
  registerDurableHttp("cancelOperation", (client) => cancelOperation(world, kinds, client));

  const { resources, azure, certificates, stores } = world;
  registerOrchestrator(waitForOperation);
  registerOrchestrator(rollBackOperation);
  registerOrchestrator(waitUntilStopped);
  registerActivities(createRollBackActivities({ resources, azure, stores }), world);
  registerActivities(createResourceActivities({ resources, azure, certificates, stores }), world);
}
