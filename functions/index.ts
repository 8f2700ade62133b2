/** Everything this app runs, one line a capability. Read on in the folder of the same name. */
import { readConfig } from "../shared/config.ts";
import { addressKinds } from "./addresses/kinds.ts";
import { registerAddresses } from "./addresses/index.ts";
import { adoptionKinds } from "./adoption/kinds.ts";
import { registerAdoption } from "./adoption/index.ts";
import { registerAudit } from "./audit/index.ts";
import { registerBlocklists } from "./blocklists/index.ts";
import { registerDeadLetters } from "./dead-letters/index.ts";
import { registerDelisting } from "./delisting/index.ts";
import { registerDirectory } from "./directory/index.ts";
import { registerDrift } from "./drift/index.ts";
import { registerNotifications } from "./notifications/index.ts";
import { repairKinds } from "./drift/repair.ts";
import { gatewayKinds } from "./gateways/kinds.ts";
import { registerGateways } from "./gateways/index.ts";
import { offboardingKinds } from "./offboarding/kinds.ts";
import { registerOffboarding } from "./offboarding/index.ts";
import { mailFlowKinds } from "./mail-flow/kinds.ts";
import { registerMailFlow } from "./mail-flow/index.ts";
import { rotationKinds } from "./rotation/kinds.ts";
import { registerRotation } from "./rotation/index.ts";
import { onboardingKinds } from "./onboarding/kinds.ts";
import { registerOnboarding } from "./onboarding/index.ts";
import { registerOperations } from "./operations/index.ts";
import { registerPartners } from "./partners/index.ts";
import { registerSchedules } from "./schedules/index.ts";
import { registerService } from "./service/index.ts";
import { taskChecks } from "./task-checks.ts";
import { registerTasks } from "./tasks/index.ts";
import { registerTenants } from "./tenants/index.ts";
import { createWorld } from "./world.ts";

const world = createWorld(readConfig());

registerSchedules(world);
registerService(world);
registerPartners(world);
registerTenants(world);
registerOnboarding(world);
registerAdoption(world);
registerOffboarding(world);
registerMailFlow(world);
registerOperations(world, {
  ...onboardingKinds(world),
  ...adoptionKinds(world),
  ...offboardingKinds(world),
  ...mailFlowKinds(world),
  ...addressKinds(world),
  ...rotationKinds(world),
  ...repairKinds(world),
  ...gatewayKinds(world),
});
registerAddresses(world);
registerAudit(world);
registerGateways(world);
registerBlocklists(world);
registerDelisting(world);
registerDeadLetters(world);
registerDirectory(world);
registerDrift(world);
registerRotation(world);
registerNotifications(world);
registerTasks({ ...world, taskChecks: taskChecks(world) });
