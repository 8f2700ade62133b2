/** The app's API with everything behind it that needs no cloud: the capabilities as they are, onboarding's doors without its clouds. */
import { registerDurableHttp, registerHttp } from "../../../shared/api/register.ts";
import { endpoint } from "../../../shared/api/endpoint.ts";
import { getOperation, listOperations } from "../../../functions/operations/http.ts";
import { acceptConsent, getConsent, planOnboarding, startOnboarding } from "../../../functions/onboarding/http.ts";
import { registerPartners } from "../../../functions/partners/index.ts";
import { registerService } from "../../../functions/service/index.ts";
import { registerTenants } from "../../../functions/tenants/index.ts";
import { worldUnderTest } from "../api.ts";

const world = worldUnderTest();

registerService(world);
registerPartners(world);
registerTenants(world);
registerHttp("getOperation", endpoint("getOperation", world, getOperation(world)));
registerHttp("listOperations", endpoint("listOperations", world, listOperations(world)));
registerHttp("planOnboarding", planOnboarding(world));
registerHttp("getConsent", getConsent(world));
registerDurableHttp("startOnboarding", (client) => startOnboarding(world, client));
registerDurableHttp("acceptConsent", (client) => acceptConsent(world, client));
