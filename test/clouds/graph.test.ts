/** Microsoft Graph v1.0, with requests written by hand from the research (chapter 3) and the Graph reference. */
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { createThrottle } from "../../infra/local/clouds/graph/throttle.ts";
import { createCredentials } from "../../shared/entra/credentials.ts";
import { valueOf } from "../support/exchange.ts";
import { startClouds, type TestClouds } from "../support/clouds.ts";

const contoso = "c0ffee00-0000-4000-8000-000000000001";
const fabrikam = "fab00000-0000-4000-8000-000000000002";
const microsoftGraph = "00000003-0000-0000-c000-000000000000";
const directoryReadAll = "7ab1d382-f21e-4acd-a863-ba3e13f7da61";
const probe = "probe@contoso.example";

let clouds: TestClouds;
let token: string;
let now = Date.parse("2026-03-01T08:00:00Z");

beforeAll(async () => {
  clouds = await startClouds({ tempo: 1, now: () => now });
  await clouds.organize({
    tenantId: contoso,
    domains: ["contoso.example", { name: "new.example", verified: false }],
    mailboxes: [probe],
  });
  // Access to the subscription makes the service principal, without any permission for Graph.
  await clouds.organize({
    tenantId: fabrikam,
    domains: ["fabrikam.example"],
    subscriptionId: "fab00000-0000-4000-8000-0000000000b2",
  });
  await clouds.consent(contoso);
  token = await tokenIn(contoso);
});
afterAll(() => clouds.stop());

const tokenIn = async (tenantId: string): Promise<string> =>
  (
    await createCredentials(clouds.environment, clouds.application)
      .inTenant(tenantId)
      .getToken(`${clouds.environment.graph.audience}/.default`)
  )?.token ?? "";

interface Answer {
  status: number;
  headers: Headers;
  body: Record<string, unknown>;
}
async function graph(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<Answer> {
  const response = await fetch(`${clouds.graph}/v1.0${path}`, {
    method,
    headers: {
      authorization: `Bearer ${token}`,
      ...(body === undefined ? {} : { "content-type": "application/json" }),
      ...headers,
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  const parsed: unknown = text === "" ? {} : JSON.parse(text);
  return { status: response.status, headers: response.headers, body: { ...(typeof parsed === "object" ? parsed : {}) } };
}
const createIfMissing = { prefer: "create-if-missing" };
const replicate = (): void => {
  now += 5_000;
};
const webClient = {
  displayName: "iQ.Suite WebClient",
  signInAudience: "AzureADMyOrg",
  web: {
    redirectUris: ["https://gw.example/webclient/"],
    implicitGrantSettings: { enableIdTokenIssuance: true, enableAccessTokenIssuance: false },
  },
  requiredResourceAccess: [{ resourceAppId: microsoftGraph, resourceAccess: [{ id: directoryReadAll, type: "Role" }] }],
};
async function application(uniqueName: string): Promise<{ id: string; appId: string }> {
  const { body } = await graph("PATCH", `/applications(uniqueName='${uniqueName}')`, webClient, createIfMissing);
  replicate();
  return { id: String(body["id"]), appId: String(body["appId"]) };
}

describe("who may ask", () => {
  test("no token, or one without the permission, gets Graph's error object with the caller's own request id", async () => {
    const unknown = await graph("GET", "/organization", undefined, { authorization: "Bearer nothing" });
    expect(unknown).toMatchObject({ status: 401, body: { error: { code: "InvalidAuthenticationToken" } } });

    const other = await tokenIn(fabrikam);
    const denied = await graph("GET", "/organization", undefined, {
      authorization: `Bearer ${other}`,
      "client-request-id": "from-a-test",
    });
    expect(denied).toMatchObject({
      status: 403,
      body: {
        error: {
          code: "Authorization_RequestDenied",
          message: "Insufficient privileges to complete the operation.",
          innerError: { date: "2026-03-01T08:00:00", "request-id": expect.any(String), "client-request-id": "from-a-test" },
        },
      },
    });
  });

  test("an unknown path is a bad request, a wrong method isn't allowed", async () => {
    expect(await graph("GET", "/nothing")).toMatchObject({ status: 400, body: { error: { code: "BadRequest" } } });
    expect((await graph("DELETE", "/organization")).status).toBe(405);
  });
});

describe("organisation and domains", () => {
  test("the organisation names its verified domains", async () => {
    const { body } = await graph("GET", "/organization?$select=id,verifiedDomains");
    const [organization] = valueOf(body);
    expect(organization).toMatchObject({ id: contoso });
    expect(JSON.stringify(organization?.["verifiedDomains"])).not.toContain("new.example");
  });

  test("a verified domain has an MX record that says where its mail goes", async () => {
    const { body } = await graph("GET", "/domains/contoso.example/serviceConfigurationRecords");
    expect(valueOf(body)).toContainEqual(
      expect.objectContaining({
        "@odata.type": "#microsoft.graph.domainDnsMxRecord",
        mailExchange: "contoso-example.mail.protection.outlook.com",
        preference: 0,
        label: "contoso.example",
      }),
    );
  });

  test("a domain that isn't theirs is not found; one that isn't verified says so", async () => {
    expect(await graph("GET", "/domains/fabrikam.example")).toMatchObject({
      status: 404,
      body: { error: { code: "Request_ResourceNotFound" } },
    });
    expect((await graph("GET", "/domains/new.example")).body).toMatchObject({ id: "new.example", isVerified: false });
  });
});

describe("applications", () => {
  test("create-if-missing makes one and then updates it; without the header there is nothing to update", async () => {
    const path = "/applications(uniqueName='iqsuite-webclient-1')";
    expect((await graph("PATCH", path, webClient)).status).toBe(404);
    const made = await graph("PATCH", path, webClient, createIfMissing);
    expect(made).toMatchObject({ status: 201, body: { uniqueName: "iqsuite-webclient-1", web: webClient.web } });
    expect(
      (await graph("PATCH", path, { web: { redirectUris: ["https://other.example/webclient/"] } }, createIfMissing)).status,
    ).toBe(204);
    const { body } = await graph("GET", path);
    expect(body).toMatchObject({
      id: made.body["id"],
      web: { redirectUris: ["https://other.example/webclient/"], implicitGrantSettings: { enableIdTokenIssuance: true } },
    });
  });

  test("a fresh application isn't everywhere at once", async () => {
    const { body } = await graph("PATCH", "/applications(uniqueName='fresh')", webClient, createIfMissing);
    expect(await graph("GET", `/applications/${String(body["id"])}`)).toMatchObject({
      status: 404,
      body: { error: { code: "Request_ResourceNotFound" } },
    });
    expect((await graph("GET", "/applications(uniqueName='fresh')")).status).toBe(200);
    replicate();
    expect((await graph("GET", `/applications/${String(body["id"])}`)).status).toBe(200);
  });

  test("a secret's text is seen once, and secrets can't be patched", async () => {
    const { id } = await application("with-secret");
    const added = await graph("POST", `/applications/${id}/addPassword`, {
      passwordCredential: { displayName: "cp-1", endDateTime: "2026-09-01T00:00:00Z" },
    });
    expect(added).toMatchObject({
      status: 200,
      body: { displayName: "cp-1", endDateTime: "2026-09-01T00:00:00Z", secretText: expect.any(String) },
    });
    const shown = await graph("GET", `/applications/${id}`);
    expect(shown.body).toMatchObject({ passwordCredentials: [{ keyId: added.body["keyId"], secretText: null }] });
    expect(JSON.stringify(shown.body)).not.toContain(String(added.body["secretText"]));
    expect(JSON.stringify(await clouds.requests("graph"))).not.toContain(String(added.body["secretText"]));

    expect((await graph("PATCH", `/applications/${id}`, { passwordCredentials: [] })).status).toBe(400);
    expect((await graph("POST", `/applications/${id}/removePassword`, { keyId: added.body["keyId"] })).status).toBe(204);
    expect((await graph("POST", `/applications/${id}/removePassword`, { keyId: added.body["keyId"] })).status).toBe(400);
  });

  test("an enabled scope can't be taken away", async () => {
    const { id, appId } = await application("with-scope");
    const scope = { id: "11111111-2222-4333-8444-555555555555", value: "user_impersonation", type: "User", isEnabled: true };
    expect(
      (
        await graph("PATCH", `/applications/${id}`, {
          identifierUris: [`api://${appId}`],
          api: { oauth2PermissionScopes: [scope] },
        })
      ).status,
    ).toBe(204);
    expect(await graph("PATCH", `/applications/${id}`, { api: { oauth2PermissionScopes: [] } })).toMatchObject({
      status: 400,
      body: { error: { code: "CannotDeleteOrUpdateEnabledEntitlement" } },
    });
    await graph("PATCH", `/applications/${id}`, { api: { oauth2PermissionScopes: [{ ...scope, isEnabled: false }] } });
    expect((await graph("PATCH", `/applications/${id}`, { api: { oauth2PermissionScopes: [] } })).status).toBe(204);
  });

  test("unknown properties and plain http redirects are refused", async () => {
    const { id } = await application("strict");
    expect((await graph("PATCH", `/applications/${id}`, { colour: "red" })).status).toBe(400);
    expect((await graph("PATCH", `/applications/${id}`, { web: { redirectUris: ["http://gw.example/"] } })).status).toBe(400);
  });

  test("a deleted application is gone, and so is its service principal", async () => {
    const { id, appId } = await application("short-lived");
    await graph("POST", "/servicePrincipals", { appId });
    expect((await graph("DELETE", `/applications/${id}`)).status).toBe(204);
    expect((await graph("GET", `/applications/${id}`)).status).toBe(404);
    expect((await graph("GET", `/servicePrincipals(appId='${appId}')`)).status).toBe(404);
  });
});

describe("service principals and grants", () => {
  test("a service principal is made once", async () => {
    const { appId } = await application("principal");
    const made = await graph("POST", "/servicePrincipals", { appId });
    expect(made).toMatchObject({ status: 201, body: { appId, servicePrincipalType: "Application" } });
    expect(await graph("POST", "/servicePrincipals", { appId })).toMatchObject({
      status: 409,
      body: { error: { code: "Request_MultipleObjectsWithSameKeyValue" } },
    });
    expect((await graph("GET", `/servicePrincipals(appId='${appId}')`)).body).toMatchObject({ id: made.body["id"] });
    expect(await graph("POST", "/servicePrincipals", { appId: "00000000-0000-4000-8000-00000000dead" })).toMatchObject({
      status: 400,
      body: { error: { code: "NoBackingApplicationObject" } },
    });
  });

  test("an application permission is granted once and listed from both sides", async () => {
    const { appId } = await application("granted");
    const { body: client } = await graph("POST", "/servicePrincipals", { appId });
    const { body: resource } = await graph("GET", `/servicePrincipals(appId='${microsoftGraph}')?$select=id,appRoles`);
    expect(JSON.stringify(resource["appRoles"])).toContain("Directory.Read.All");
    const assignment = { principalId: client["id"], resourceId: resource["id"], appRoleId: directoryReadAll };
    const path = `/servicePrincipals/${String(resource["id"])}/appRoleAssignedTo`;
    expect((await graph("POST", path, assignment)).status).toBe(201);
    expect(await graph("POST", path, assignment)).toMatchObject({
      status: 400,
      body: { error: { message: "Permission being assigned already exists on the object" } },
    });
    expect((await graph("POST", path, { ...assignment, appRoleId: contoso })).status).toBe(400);
    expect(valueOf((await graph("GET", `/servicePrincipals/${String(client["id"])}/appRoleAssignments`)).body)).toMatchObject([
      assignment,
    ]);
  });

  test("delegated permissions are one grant for each client and resource, widened by PATCH", async () => {
    const { appId } = await application("delegated");
    const { body: client } = await graph("POST", "/servicePrincipals", { appId });
    const { body: resource } = await graph("GET", `/servicePrincipals(appId='${microsoftGraph}')`);
    const grant = {
      clientId: client["id"],
      consentType: "AllPrincipals",
      principalId: null,
      resourceId: resource["id"],
      scope: "User.Read",
    };
    const made = await graph("POST", "/oauth2PermissionGrants", grant);
    expect(made.status).toBe(201);
    expect((await graph("POST", "/oauth2PermissionGrants", grant)).status).toBe(409);
    expect(
      (await graph("PATCH", `/oauth2PermissionGrants/${String(made.body["id"])}`, { scope: "User.Read Directory.Read.All" }))
        .status,
    ).toBe(204);
    const filter = encodeURIComponent(`clientId eq '${String(client["id"])}' and consentType eq 'AllPrincipals'`);
    expect(valueOf((await graph("GET", `/oauth2PermissionGrants?$filter=${filter}`)).body)).toMatchObject([
      { scope: "User.Read Directory.Read.All" },
    ]);
  });

  test("what the application doesn't own it may not delete", async () => {
    const { body: resource } = await graph("GET", `/servicePrincipals(appId='${microsoftGraph}')`);
    expect((await graph("DELETE", `/servicePrincipals/${String(resource["id"])}`)).status).toBe(403);
  });
});

describe("mail", () => {
  const message = (subject: string, more: Record<string, unknown> = {}) => ({
    message: {
      subject,
      body: { contentType: "Text", content: "Grüße" },
      toRecipients: [{ emailAddress: { address: probe } }],
      internetMessageHeaders: [{ name: "X-Gatehouse-Probe", value: "nonce-1" }],
    },
    ...more,
  });
  const find = async (subject: string, select = "subject,internetMessageHeaders"): Promise<Record<string, unknown>[]> => {
    const filter = encodeURIComponent(`subject eq '${subject}'`);
    return valueOf((await graph("GET", `/users/${probe}/messages?$filter=${filter}&$select=${select}&$top=5`)).body);
  };

  test("a sent message arrives with the headers of its way", async () => {
    expect((await graph("POST", `/users/${probe}/sendMail`, message("it's a probe", { saveToSentItems: false }))).status).toBe(
      202,
    );
    const [arrived] = await vi.waitFor(async () => {
      const found = await find("it''s a probe");
      expect(found).toHaveLength(1);
      return found;
    });
    const headers = valueOf({ value: arrived?.["internetMessageHeaders"] });
    expect(headers).toContainEqual({ name: "X-Gatehouse-Probe", value: "nonce-1" });
    expect(headers.filter(({ name }) => name === "Received")).toHaveLength(1);
    expect(arrived).not.toHaveProperty("body");
  });

  test("the copy in Sent Items is found too, and has no headers of transport", async () => {
    await graph("POST", `/users/${probe}/sendMail`, message("kept"));
    const found = await vi.waitFor(async () => {
      const both = await find("kept", "subject,internetMessageHeaders,internetMessageId,parentFolderId");
      expect(both).toHaveLength(2);
      return both;
    });
    expect(found.filter((one) => one["internetMessageHeaders"] === undefined)).toMatchObject([{ parentFolderId: "sentitems" }]);
    const id = encodeURIComponent(`internetMessageId eq '${String(found[0]?.["internetMessageId"])}'`);
    expect(valueOf((await graph("GET", `/users/${probe}/mailFolders/inbox/messages?$filter=${id}`)).body)).toHaveLength(1);
  });

  test("headers come only when selected, and sorting needs its property in the filter", async () => {
    const { body } = await graph("GET", `/users/${probe}/messages?$top=1`);
    expect(valueOf(body)[0]).not.toHaveProperty("internetMessageHeaders");
    expect(body).toHaveProperty(["@odata.nextLink"]);
    const filter = encodeURIComponent("subject eq 'kept'");
    expect(await graph("GET", `/users/${probe}/messages?$filter=${filter}&$orderby=receivedDateTime desc`)).toMatchObject({
      status: 400,
      body: { error: { code: "InefficientFilter" } },
    });
    const both = encodeURIComponent("receivedDateTime ge 2026-01-01T00:00:00Z and subject eq 'kept'");
    expect((await graph("GET", `/users/${probe}/messages?$filter=${both}&$orderby=receivedDateTime desc`)).status).toBe(200);
  });

  test("a mailbox that isn't there, a header that isn't custom, and no recipient are refused", async () => {
    expect(await graph("POST", "/users/nobody@contoso.example/sendMail", message("x"))).toMatchObject({
      status: 404,
      body: { error: { code: "ErrorInvalidUser" } },
    });
    const received = { ...message("x").message, internetMessageHeaders: [{ name: "Received", value: "x" }] };
    expect(await graph("POST", `/users/${probe}/sendMail`, { message: received })).toMatchObject({
      status: 400,
      body: { error: { code: "InvalidInternetMessageHeader" } },
    });
    expect(
      (await graph("POST", `/users/${probe}/sendMail`, { message: { ...message("x").message, toRecipients: [] } })).status,
    ).toBe(400);
  });
});

// "Microsoft Graph service-specific throttling limits", identity and access: a tenant with fewer than 50 users.
describe("throttling", () => {
  test("an answer says what it cost: selecting makes an application cheaper", async () => {
    const cost = async (path: string): Promise<string | null> => (await graph("GET", path)).headers.get("x-ms-resource-unit");
    expect([await cost("/applications"), await cost("/applications?$select=id"), await cost("/domains")]).toEqual([
      "2",
      "1",
      "1",
    ]);
  });

  test("an application that spent its units in a tenant waits until the window is over, in this tenant only", () => {
    let at = 0;
    const throttle = createThrottle({ now: () => at, tempo: 1 });
    const url = new URL("https://graph.example/v1.0/applications");
    const request = { method: "GET", url, headers: {}, body: undefined, text: "" };
    const ask = (tenantId: string): ReturnType<typeof throttle> =>
      throttle({ tenantId, applicationId: "gatehouse" }, request, "/applications");
    for (let units = 2; units < 2800; units += 2) expect(ask("one").headers).toEqual({ "x-ms-resource-unit": "2" });
    expect(ask("one").headers).toMatchObject({ "x-ms-throttle-limit-percentage": "0.80" });
    for (let units = 2802; units <= 3500; units += 2) expect(ask("one").retryAfterInSeconds).toBeUndefined();
    at = 4000;
    expect(ask("one")).toMatchObject({
      retryAfterInSeconds: 6,
      headers: { "x-ms-throttle-scope": "Tenant_Application/ReadWrite/gatehouse/one" },
    });
    expect(ask("two").retryAfterInSeconds).toBeUndefined();
    at = 10_000;
    expect(ask("one").retryAfterInSeconds).toBeUndefined();
  });
});
