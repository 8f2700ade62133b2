/** Three of our routes, and beside them functions that only answer JSON. */
import { app, type HttpRequest } from "@azure/functions";
import * as durable from "durable-functions";
import { startOnboarding } from "../../../functions/onboarding/http.ts";
import { getTenant, listTenants } from "../../../functions/tenants/http.ts";
import { endpoint } from "../../../shared/api/endpoint.ts";
import { registerDurableHttp, registerHttp } from "../../../shared/api/register.ts";
import { measuredWorld } from "../api-world.ts";

const { world, sample } = measuredWorld();

registerHttp("getTenant", endpoint("getTenant", world, getTenant(world)));
registerHttp("listTenants", endpoint("listTenants", world, listTenants(world)));
registerDurableHttp("startOnboarding", (client) => startOnboarding(world, client));

const open = { authLevel: "anonymous" } as const;
app.http("idleGet", { ...open, methods: ["GET"], route: "idle/get", handler: () => ({ jsonBody: sample.getTenant }) });
app.http("idleList", { ...open, methods: ["GET"], route: "idle/list", handler: () => ({ jsonBody: sample.listTenants }) });
// Ours can start orchestrations, so it is given a client with each call; then so is this.
durable.app.client.http("idlePost", {
  ...open,
  methods: ["POST"],
  route: "idle/post",
  handler: async (request: HttpRequest) => {
    await request.json();
    return { status: 202, jsonBody: sample.startOnboarding };
  },
});
