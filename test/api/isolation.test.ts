/** Two partners can't see, change or guess each other's things: on every route, what is another's is as if it weren't there. */
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Route } from "../../shared/api/route.ts";
import { type RouteName, routes } from "../../shared/api/routes.ts";
import { startApi, type TestApi, type TestPartner } from "../support/api.ts";

const { tenantId: _, ...spec } = JSON.parse(readFileSync("examples/contoso.json", "utf8"));
const operationId = randomUUID();
const gatewayId = "contoso-gateway-1";
const caseId = "delisting-spamcop-203.0.113.7-20300101t000000z";
const webhookId = "northwind-desk";
const recipientId = "northwind-post";
let deliveryId: string;
let taskId: string;
let api: TestApi;
let owner: TestPartner;
let stranger: TestPartner;

beforeAll(async () => {
  api = await startApi();
  [owner, stranger] = [await api.partner(), await api.partner()];
  await owner.api.putTenant({ tenantId: "contoso", body: spec });
  await api.world.stores.operations.create({
    partnerId: owner.partnerId,
    tenantId: "contoso",
    id: operationId,
    kind: "onboarding",
    requestHash: "hash",
    steps: [{ name: "consent", title: "Admin consent", branch: "access" }],
  });
  await api.world.stores.operations.show(owner.partnerId, operationId);
  await api.world.stores.gateways.put({
    partnerId: owner.partnerId,
    tenantId: "contoso",
    virtualMachineId: "/subscriptions/s/resourceGroups/contoso/providers/Microsoft.Compute/virtualMachines/gateway-1",
    entraTenantId: randomUUID(),
    subscriptionId: randomUUID(),
    address: "203.0.113.7",
    fqdn: "contoso.westeurope.cloudapp.azure.example",
    region: "westeurope",
    state: { health: "healthy", reason: "LoopProven" },
  });
  await api.world.stores.cases.open({
    partnerId: owner.partnerId,
    tenantId: "contoso",
    id: caseId,
    list: "spamcop",
    listTitle: "SpamCop",
    address: "203.0.113.7",
    codes: ["127.0.0.2"],
    listedSince: "2030-01-01T00:00:00.000Z",
    deadline: "2030-01-03T00:00:00.000Z",
  });
  const task = { title: "Publish an SPF record", instructions: "", fields: [] };
  const asked = { partnerId: owner.partnerId, tenantId: "contoso", kind: "publishSpf", subject: "contoso.example" } as const;
  await owner.api.putWebhook({ webhookId, body: { url: "https://hooks.northwind.example/gatehouse" } });
  await owner.api.putMailRecipient({ recipientId, body: { address: "post@northwind.example" } });
  ({ id: deliveryId } = (await owner.api.testWebhook({ webhookId })).body);
  ({ id: taskId } = await api.world.stores.tasks.open({ ...asked, ...task }));
});
afterAll(() => api.stop());

const entries = Object.entries<Route>(routes);
const guarded = entries.filter(([, { roles }]) => roles !== "anyone");
const ofOneThing = guarded.filter(
  ([, { path, roles, method }]) =>
    /\{(tenantId|operationId|gatewayId|caseId|taskId|webhookId|recipientId)\}/.test(path) &&
    roles.includes("Partner") &&
    method !== "PUT",
);

const pathOf = ({ path }: Route, ids: Record<string, string>): string =>
  path.replace(
    /\{(\w+)\}/g,
    (_match, name: string) => ids[name] ?? { step: "consent", name: "clientSecret", deadLetterId: "delisting-1" }[name] ?? "",
  );
const send = (route: Route, token: string | undefined, ids: Record<string, string>) =>
  api.request(route.method, pathOf(route, ids), {
    ...(token === undefined ? {} : { token }),
    ...(route.method === "PUT" ? { body: spec } : {}),
    ...([routes.startBypass, routes.startGatewayBypass, routes.startPartnerBypass].some((one) => one === route)
      ? { body: { reason: "it does not answer" } }
      : {}),
    ...(route === routes.confirmMailRecipient ? { body: { confirmationCode: "0000-0000" } } : {}),
    ...(route === routes.startOffboarding ? { body: { confirm: ids["tenantId"] } } : {}),
  });

/** All that a caller can see of an answer, ids that the caller itself sent blanked out. */
async function seen(response: Response, sent: string[]) {
  const { date: _date, "x-ms-request-id": requestId, ...headers } = Object.fromEntries(response.headers);
  const blank = (text: string) => sent.reduce((rest, id) => rest.replaceAll(id, "ID"), text);
  return { status: response.status, headers, hasRequestId: requestId !== undefined, body: blank(await response.text()) };
}

test("there are routes of one thing, and this file looks at them all", () => {
  const expected: RouteName[] = [
    "acknowledgeDelisting",
    "cancelOperation",
    "completeTask",
    "confirmMailRecipient",
    "deleteMailRecipient",
    "deleteTenant",
    "deleteWebhook",
    "getAdoption",
    "getBeforeImage",
    "getConsent",
    "getDelisting",
    "getDirectory",
    "getDrift",
    "getExport",
    "getGateway",
    "getGatewayHistory",
    "getMailRecipient",
    "getOperation",
    "getTask",
    "getTenant",
    "getUcm",
    "getWebhook",
    "listAudit",
    "listCredentials",
    "listWebhookDeliveries",
    "lookForDriftNow",
    "planOnboarding",
    "redeliverEvent",
    "retryOperation",
    "rotateCredential",
    "rotateWebhookSecret",
    "sendCode",
    "startAddressReplacement",
    "startAdoption",
    "startBypass",
    "startDemotion",
    "startDirectoryRefresh",
    "startGatewayBypass",
    "startGatewayRestore",
    "startOffboarding",
    "startOnboarding",
    "startPromotion",
    "startRepair",
    "startRestore",
    "startSmtpRestart",
    "testMailRecipient",
    "testWebhook",
  ];
  expect(ofOneThing.map(([name]) => name).toSorted()).toEqual(expected);
});

const ids = () => ({
  tenantId: "contoso",
  operationId,
  caseId,
  taskId,
  webhookId,
  recipientId,
  deliveryId,
  partnerId: owner.partnerId,
  gatewayId,
  timer: "pollExample",
  vmId: `${owner.partnerId}.${gatewayId}`,
});

describe.each(ofOneThing)("%s", (_name, route) => {
  test("answers for another's thing as for one that doesn't exist, byte for byte", async () => {
    const absent = {
      tenantId: "nowhere",
      operationId: randomUUID(),
      gatewayId: "nowhere-gateway-1",
      caseId: caseId.replace("203", "198"),
      taskId: taskId.replace("contoso", "nowhere"),
      webhookId: "northwind-none",
      recipientId: "northwind-none",
      deliveryId,
    };
    // As long as the other's ids, so that not even a length tells.
    const theirs = await seen(await send(route, stranger.token, ids()), [
      taskId,
      gatewayId,
      "contoso",
      operationId,
      caseId,
      webhookId,
      recipientId,
    ]);
    const nobodys = await seen(await send(route, stranger.token, absent), Object.values(absent).toReversed());
    expect(theirs).toEqual(nobodys);
    expect(theirs.status).toBe(404);
  });
});

test("a partner may use a name that another partner uses, and gets a tenant of its own", async () => {
  const third = await api.partner();
  expect((await third.api.putTenant({ tenantId: "contoso", body: { ...spec, displayName: "Another Contoso" } })).status).toBe(
    201,
  );
  expect((await third.api.deleteTenant({ tenantId: "contoso" })).status).toBe(204);
  expect((await owner.api.getTenant({ tenantId: "contoso" })).body.spec.displayName).toBe("Contoso");
});

test("lists have the caller's own only", async () => {
  const list = async (path: string) =>
    ((await (await api.request("GET", path, { token: stranger.token })).json()) as { value: unknown[] }).value;
  expect([await list("/api/tenants"), await list("/api/operations"), await list("/api/operations?tenantId=contoso")]).toEqual([
    [],
    [],
    [],
  ]);
});

test("naming another partner is refused alike whether it exists or not", async () => {
  for (const path of ["/api/tenants", "/api/tenants/contoso", "/api/operations", `/api/operations/${operationId}`]) {
    const existing = await seen(await api.request("GET", `${path}?partnerId=${owner.partnerId}`, { token: stranger.token }), []);
    const invented = await seen(await api.request("GET", `${path}?partnerId=invented`, { token: stranger.token }), []);
    expect(existing).toEqual(invented);
    expect(existing.status).toBe(403);
  }
});

test("an operator sees the things of the partner that it names", async () => {
  const { partnerId } = owner;
  expect((await api.operator.api.getTenant({ tenantId: "contoso", partnerId })).body.id).toBe("contoso");
  expect((await api.operator.api.listTenants({ partnerId })).body.value.map(({ id }) => id)).toEqual(["contoso"]);
  expect((await api.operator.api.listOperations({ partnerId })).body.value.map(({ id }) => id)).toEqual([operationId]);
  expect((await api.operator.api.getOperation({ operationId, partnerId })).body.tenantId).toBe("contoso");
  await expect(api.operator.api.listTenants({})).rejects.toMatchObject({ status: 400, details: [{ target: "partnerId" }] });
});

describe.each(guarded)("%s", (_name, route) => {
  test("is closed to who has no token, an expired one, or one for another audience", async () => {
    const claims = { tid: owner.entraTenantId, azp: owner.clientId };
    const past = Math.floor(Date.now() / 1000) - 3600;
    const tokens = [
      undefined,
      await api.issuer.token({ ...claims, nbf: past - 60, exp: past }),
      await api.issuer.token({ ...claims, aud: randomUUID() }),
    ];
    for (const token of tokens) expect((await send(route, token, ids())).status).toBe(401);
  });

  test("is closed to roles that it isn't for", async () => {
    const outsiders = [
      ...(route.roles.includes("Operator") ? [] : [api.operator.token]),
      ...(route.roles.includes("Partner") ? [] : [owner.token]),
      await api.issuer.token({ tid: randomUUID(), azp: randomUUID(), roles: ["Partner", "Operator"] }),
    ];
    for (const token of outsiders) expect((await send(route, token, ids())).status).toBe(403);
  });
});
