/** The app's API with everything behind it that needs no cloud: the capabilities as they are, onboarding's doors without its clouds. */
import { registerDurableHttp, registerHttp } from "../../../shared/api/register.ts";
import { endpoint } from "../../../shared/api/endpoint.ts";
import { createBlocklists } from "../../../shared/dns/blocklists.ts";
import { parseBlocklistZones } from "../../../shared/dns/blocklist-zones.ts";
import { startAddressReplacement } from "../../../functions/addresses/http.ts";
import { addressKinds } from "../../../functions/addresses/kinds.ts";
import { getAdoption, startAdoption } from "../../../functions/adoption/http.ts";
import { adoptionKinds } from "../../../functions/adoption/kinds.ts";
import { listAudit, listOperatorAudit, listPartnerAudit } from "../../../functions/audit/http.ts";
import { listBlocklists, listListings } from "../../../functions/blocklists/http.ts";
import { registerDeadLetters } from "../../../functions/dead-letters/index.ts";
import { acknowledgeDelisting, getDelisting, listDelistings } from "../../../functions/delisting/http.ts";
import { postHeartbeat } from "../../../functions/gateways/heartbeat.ts";
import { gatewayKinds } from "../../../functions/gateways/kinds.ts";
import { startSmtpRestart } from "../../../functions/gateways/smtp-restart.ts";
import { getGatewayHistory } from "../../../functions/gateways/history.ts";
import { getGateway, listEvents, listGateways } from "../../../functions/gateways/http.ts";
import { getDirectoryDocument } from "../../../functions/directory/document.ts";
import { getDirectory, startDirectoryRefresh } from "../../../functions/directory/http.ts";
import { getDrift, lookForDriftNow, startRepair } from "../../../functions/drift/http.ts";
import { repairKinds } from "../../../functions/drift/repair.ts";
import { getExport } from "../../../functions/offboarding/export.ts";
import { startOffboarding } from "../../../functions/offboarding/http.ts";
import { offboardingKinds } from "../../../functions/offboarding/kinds.ts";
import { mailFlowKinds } from "../../../functions/mail-flow/kinds.ts";
import { startBypass, startRestore } from "../../../functions/mail-flow/http.ts";
import {
  startGatewayBypass,
  startGatewayRestore,
  startPartnerBypass,
  startPartnerRestore,
} from "../../../functions/mail-flow/several.ts";
import { registerSchedules } from "../../../functions/schedules/index.ts";
import { registerMailRecipientDoors, registerWebhookDoors } from "../../../functions/notifications/index.ts";
import { onboardingKinds } from "../../../functions/onboarding/kinds.ts";
import { cancelOperation } from "../../../functions/operations/cancel.ts";
import { skipStep } from "../../../functions/operations/skip.ts";
import { rotationKinds } from "../../../functions/rotation/kinds.ts";
import { getBeforeImage, getOperation, listOperations } from "../../../functions/operations/http.ts";
import { retryOperation } from "../../../functions/operations/retry.ts";
import { acceptConsent, getConsent, planOnboarding, startOnboarding } from "../../../functions/onboarding/http.ts";
import { startDemotion, startPromotion } from "../../../functions/onboarding/promotion-http.ts";
import { getUcm, postUcmReport } from "../../../functions/onboarding/ucm-http.ts";
import { registerPartners } from "../../../functions/partners/index.ts";
import { listCredentials } from "../../../functions/rotation/http.ts";
import { rotateCredential } from "../../../functions/rotation/request.ts";
import { registerService } from "../../../functions/service/index.ts";
import { completeTask, getTask, listTasks } from "../../../functions/tasks/http.ts";
import { registerTenants } from "../../../functions/tenants/index.ts";
import { registerTimer } from "../../../shared/triggers.ts";
import { timerUnderTest, worldUnderTest } from "../api.ts";

const world = worldUnderTest();

registerSchedules(world);
registerTimer("pollExample", "%LEAP_DAY_SCHEDULE%", () => timerUnderTest.work());

registerService(world);
registerPartners(world);
registerTenants(world);
registerHttp("listAudit", endpoint("listAudit", world, listAudit(world)));
registerHttp("listPartnerAudit", endpoint("listPartnerAudit", world, listPartnerAudit(world)));
registerHttp("listOperatorAudit", endpoint("listOperatorAudit", world, listOperatorAudit(world)));
registerHttp("getOperation", endpoint("getOperation", world, getOperation(world)));
registerHttp("listOperations", endpoint("listOperations", world, listOperations(world)));
const kinds = {
  ...onboardingKinds(world),
  ...adoptionKinds(world),
  ...offboardingKinds(world),
  ...mailFlowKinds(world),
  ...addressKinds(world),
  ...rotationKinds(world),
  ...repairKinds(world),
  ...gatewayKinds(world),
};
registerHttp("getBeforeImage", endpoint("getBeforeImage", world, getBeforeImage(world)));
registerHttp("skipStep", skipStep(world));
registerDurableHttp("retryOperation", (client) => retryOperation(world, kinds, client));
registerDurableHttp("cancelOperation", (client) => cancelOperation(world, kinds, client));
registerHttp("listGateways", endpoint("listGateways", world, listGateways(world)));
registerHttp("getGateway", endpoint("getGateway", world, getGateway(world)));
registerHttp("getGatewayHistory", endpoint("getGatewayHistory", world, getGatewayHistory(world)));
registerDurableHttp("startSmtpRestart", (client) => startSmtpRestart(world, client));
registerHttp("listEvents", endpoint("listEvents", world, listEvents(world)));
registerHttp("postHeartbeat", endpoint("postHeartbeat", world, postHeartbeat(world)));
const blocklists = createBlocklists({
  servers: [],
  zones: parseBlocklistZones("default"),
  readKey: () => Promise.reject(new Error("the API reads no keys")),
});
const { stores, signer } = world;
registerHttp("listListings", endpoint("listListings", world, listListings({ stores, signer, blocklists })));
registerHttp("listBlocklists", endpoint("listBlocklists", world, listBlocklists({ stores, signer, blocklists })));
registerHttp("listDelistings", endpoint("listDelistings", world, listDelistings(world)));
registerHttp("getDelisting", endpoint("getDelisting", world, getDelisting(world)));
registerDurableHttp("acknowledgeDelisting", (client) => acknowledgeDelisting(world, client));
registerDeadLetters(world);
registerWebhookDoors(world);
registerMailRecipientDoors(world);
registerHttp("listCredentials", endpoint("listCredentials", world, listCredentials(world)));
registerHttp("rotateCredential", rotateCredential(world));
registerHttp("getAdoption", getAdoption(world));
registerDurableHttp("startAdoption", (client) => startAdoption(world, client));
registerHttp("planOnboarding", planOnboarding(world));
registerDurableHttp("startPromotion", (client) => startPromotion(world, client));
registerDurableHttp("startDemotion", (client) => startDemotion(world, client));
registerDurableHttp("startBypass", (client) => startBypass(world, client));
registerDurableHttp("startRestore", (client) => startRestore(world, client));
registerDurableHttp("startGatewayBypass", (client) => startGatewayBypass(world, client));
registerDurableHttp("startGatewayRestore", (client) => startGatewayRestore(world, client));
registerDurableHttp("startAddressReplacement", (client) => startAddressReplacement(world, client));
registerDurableHttp("startPartnerBypass", (client) => startPartnerBypass(world, client));
registerDurableHttp("startPartnerRestore", (client) => startPartnerRestore(world, client));
registerDurableHttp("startOffboarding", (client) => startOffboarding(world, client));
registerHttp("getDirectory", endpoint("getDirectory", world, getDirectory(world)));
registerHttp("getDirectoryDocument", endpoint("getDirectoryDocument", world, getDirectoryDocument(world)));
registerHttp("getExport", endpoint("getExport", world, getExport(world)));
registerHttp("getDrift", endpoint("getDrift", world, getDrift(world)));
registerHttp("lookForDriftNow", endpoint("lookForDriftNow", world, lookForDriftNow(world)));
registerDurableHttp("startRepair", (client) => startRepair(world, client));
registerDurableHttp("startDirectoryRefresh", (client) => startDirectoryRefresh(world, client));
registerHttp("listTasks", endpoint("listTasks", world, listTasks(world)));
registerHttp("getTask", endpoint("getTask", world, getTask(world)));
registerDurableHttp("completeTask", (client) => completeTask(world, client));
registerHttp("getConsent", getConsent(world));
registerHttp("getUcm", getUcm(world));
registerHttp("postUcmReport", postUcmReport(world));
registerDurableHttp("startOnboarding", (client) => startOnboarding(world, client));
registerDurableHttp("acceptConsent", (client) => acceptConsent(world, client));
