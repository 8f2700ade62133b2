/** Rotation: a timer that looks, a queue that hears, an orchestration that changes a credential without a moment without a valid one. */
import { endpoint } from "../../shared/api/endpoint.ts";
import { registerHttp } from "../../shared/api/register.ts";
import { registerActivities, registerOrchestrator } from "../../shared/durable/register.ts";
import { registerQueue, registerTimer } from "../../shared/triggers.ts";
import { createRotationActivities } from "./activities.ts";
import { listCredentials } from "./http.ts";
import { rotateCertificate } from "./certificate.ts";
import { createCertificateRotationActivities } from "./certificate-activities.ts";
import { rotateClientSecret } from "./client-secret.ts";
import { rotateLoopGuid } from "./loop-guid.ts";
import { rotatePassword } from "./password.ts";
import { createPasswordActivities } from "./password-activities.ts";
import { createLoopGuidActivities } from "./loop-guid-activities.ts";
import { planRenaming } from "./plan.ts";
import { acceptNearExpiry } from "./queue.ts";
import { rotateCredential } from "./request.ts";
import { sweepCredentials } from "./timer.ts";
import type { RotationWorld } from "./world.ts";

export function registerRotation(world: RotationWorld): void {
  world.plans.register("certificateRenaming", (tenant, asked) => planRenaming(world, tenant, asked));
  registerTimer("sweepCredentials", "%ROTATION_SCHEDULE%", sweepCredentials(world));
  registerQueue("acceptNearExpiry", "rotation", (client) => acceptNearExpiry(world, client), world);
  registerHttp("listCredentials", endpoint("listCredentials", world, listCredentials(world)));
  registerHttp("rotateCredential", rotateCredential(world));
  registerOrchestrator(rotateClientSecret);
  registerOrchestrator(rotateLoopGuid);
  registerOrchestrator(rotatePassword);
  registerOrchestrator(rotateCertificate);
  const { readMailRoute: _shared, ...activities } = createRotationActivities(world);
  registerActivities(activities, world);
  registerActivities(createLoopGuidActivities(world), world);
  registerActivities(createPasswordActivities(world), world);
  const { checkCertificateShown: _onboardings, ...ofCertificates } = createCertificateRotationActivities(world);
  registerActivities(ofCertificates, world);
}
