/** Onboarding: its doors, its orchestrators, and an activity for each thing it does beside the resources. */
import { registerDurableHttp, registerHttp } from "../../shared/api/register.ts";
import { registerActivities, registerOrchestrator } from "../../shared/durable/register.ts";
import { registerTimer } from "../../shared/triggers.ts";
import { createCanaryActivities } from "./canary.ts";
import { createCertificateActivities } from "./certificate-activities.ts";
import { waitForCertificate } from "./certificate.ts";
import { createOnboardingActivities } from "./activities.ts";
import { createPrivilegeActivities } from "./privilege.ts";
import { limitPrivilege } from "./limit-privilege.ts";
import { acceptConsent, getConsent, planOnboarding, startOnboarding } from "./http.ts";
import { proveCanary } from "./prove-canary.ts";
import { pollConsents } from "./timer.ts";
import { chapters, onboardTenant, proveLoop, waitForAccess } from "./orchestrator.ts";
import { demoteTenant, promoteTenant } from "./promotion.ts";
import { createPromotionActivities } from "./promotion-activities.ts";
import { startDemotion, startPromotion } from "./promotion-http.ts";
import { getUcm, postUcmReport } from "./ucm-http.ts";
import type { OnboardingWorld } from "./world.ts";

export function registerOnboarding(world: OnboardingWorld): void {
  registerHttp("planOnboarding", planOnboarding(world));
  registerHttp("getConsent", getConsent(world));
  registerHttp("getUcm", getUcm(world));
  registerHttp("postUcmReport", postUcmReport(world));
  registerDurableHttp("startOnboarding", (client) => startOnboarding(world, client));
  registerDurableHttp("startPromotion", (client) => startPromotion(world, client));
  registerDurableHttp("startDemotion", (client) => startDemotion(world, client));
  registerDurableHttp("acceptConsent", (client) => acceptConsent(world, client));
  registerTimer("pollConsents", "%CONSENTS_SCHEDULE%", pollConsents(world));

  registerOrchestrator(onboardTenant);
  registerOrchestrator(waitForAccess);
  registerOrchestrator(waitForCertificate);
  registerOrchestrator(chapters.prepareGround);
  registerOrchestrator(chapters.buildGateway);
  registerOrchestrator(chapters.buildMachine);
  registerOrchestrator(chapters.buildDatabase);
  registerOrchestrator(chapters.buildKeyManager);
  registerOrchestrator(chapters.buildUcmServer);
  registerOrchestrator(chapters.registerApplications);
  registerOrchestrator(chapters.connectMailFlow);
  registerOrchestrator(chapters.moveSmartHosts);
  registerOrchestrator(chapters.dropMachines);
  registerOrchestrator(chapters.giveOwnRoles);
  registerOrchestrator(limitPrivilege);
  registerOrchestrator(chapters.publishSpf);
  registerOrchestrator(proveLoop);
  registerOrchestrator(promoteTenant);
  registerOrchestrator(demoteTenant);
  registerActivities(createPromotionActivities(world), world);
  registerOrchestrator(proveCanary);
  registerActivities(createOnboardingActivities(world), world);
  registerActivities(createCanaryActivities(world), world);
  registerActivities(createCertificateActivities(world), world);
  registerActivities(createPrivilegeActivities(world), world);
}
