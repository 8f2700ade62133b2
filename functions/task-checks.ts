/** Of each kind of task, the capability that opens it says how to see that it is done: this is where they meet. */
import type { TaskChecks } from "../shared/stores/tasks.ts";
import { delistingCheck } from "./delisting/case-tasks.ts";
import type { DelistingWorld } from "./delisting/world.ts";
import { restoreMailCheck } from "./mail-flow/outages.ts";
import { withdrawSpfCheck } from "./offboarding/withdraw-spf.ts";
import { accessCheck } from "./onboarding/access-tasks.ts";
import { certificateCheck } from "./onboarding/certificate-activities.ts";
import { spfCheck } from "./onboarding/spf.ts";
import { ucmReportCheck } from "./onboarding/ucm-report.ts";
import type { OnboardingWorld } from "./onboarding/world.ts";
import { changePasswordCheck } from "./rotation/product-passwords.ts";
import { emergencyCheck } from "./rotation/request.ts";

export const taskChecks = (world: OnboardingWorld & DelistingWorld): TaskChecks => ({
  consent: accessCheck(world),
  azureAccess: accessCheck(world),
  certificate: certificateCheck(world),
  publishSpf: spfCheck(world),
  withdrawSpf: withdrawSpfCheck(world),
  ucmReport: ucmReportCheck(world),
  delisting: delistingCheck(world),
  emergencyRotation: emergencyCheck(world),
  changePassword: changePasswordCheck(world),
  restoreMail: restoreMailCheck(world),
});
