/** The simulated Entra as Microsoft's own identity library sees it, over HTTPS. */
import { ClientSecretCredential } from "@azure/identity";
import { createLocalJWKSet, createRemoteJWKSet, decodeJwt, jwtVerify } from "jose";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createDirectory } from "../../infra/local/clouds/entra/directory.ts";
import { exchangeAdministrator } from "../../infra/local/clouds/entra/first-party.ts";
import { createCredentials } from "../../shared/entra/credentials.ts";
import { startClouds, type TestClouds } from "../support/clouds.ts";

const contoso = "c0ffee00-0000-4000-8000-000000000001";
const fabrikam = "fab00000-0000-4000-8000-000000000002";

let clouds: TestClouds;
beforeAll(async () => {
  clouds = await startClouds();
  await clouds.organize({ tenantId: contoso, domains: ["contoso.example"], mailboxes: ["pilot@contoso.example"] });
  await clouds.organize({
    tenantId: fabrikam,
    domains: ["fabrikam.example"],
    mailboxes: [],
    subscriptionId: "fab00000-0000-4000-8000-0000000000b2",
  });
});
afterAll(() => clouds.stop());

const credentials = () => createCredentials(clouds.environment, clouds.application);
const refusal = async (attempt: Promise<unknown>): Promise<string> => {
  const error = await attempt.then(
    () => new Error("no error"),
    (reason: unknown) => (reason instanceof Error ? reason : new Error(String(reason))),
  );
  return /AADSTS\d+/.exec(error.message)?.[0] ?? error.message;
};
const consentUrl = (tenant: string, changes: Record<string, string> = {}): URL => {
  const url = new URL(`${clouds.entra}/${tenant}/v2.0/adminconsent`);
  url.search = new URLSearchParams({
    client_id: clouds.application.applicationId,
    scope: `${clouds.environment.graph.audience}/.default`,
    redirect_uri: "http://localhost:7071/api/consent/callback",
    state: "signed <state>",
    ...changes,
  }).toString();
  return url;
};
const textOf = async (url: string): Promise<string> => (await fetch(url)).text();
const tokenRequest = async (
  tenant: string,
  form: Record<string, string>,
): Promise<{ status: number; body: Record<string, unknown> }> => {
  const response = await fetch(`${clouds.entra}/${tenant}/oauth2/v2.0/token`, {
    method: "POST",
    body: new URLSearchParams(form),
  });
  const body: Record<string, unknown> = JSON.parse(await response.text());
  return { status: response.status, body };
};

test("before consent Entra doesn't find the application in the customer's directory, after it the token carries the granted roles", async () => {
  const scope = `${clouds.environment.graph.audience}/.default`;
  expect(await refusal(credentials().inTenant(contoso).getToken(scope))).toBe("AADSTS700016");

  const location = await clouds.consent(contoso, "s1");
  expect(Object.fromEntries(location.searchParams)).toEqual({ admin_consent: "True", tenant: contoso, state: "s1", scope });

  const graph = decodeJwt((await credentials().inTenant(contoso).getToken(scope))?.token ?? "");
  expect(graph).toMatchObject({
    aud: "https://graph.microsoft.com",
    iss: `${clouds.entra}/${contoso}/v2.0`,
    tid: contoso,
    azp: clouds.application.applicationId,
    idtyp: "app",
  });
  expect(graph["roles"]).toEqual(
    expect.arrayContaining(["Application.ReadWrite.OwnedBy", "Domain.Read.All", "Mail.Send", "Mail.Read"]),
  );
  const exchange = decodeJwt(
    (await credentials().inTenant(contoso).getToken(`${clouds.environment.exchange.audience}/.default`))?.token ?? "",
  );
  expect(exchange).toMatchObject({ aud: "https://outlook.office365.com", roles: ["Exchange.ManageAsApp"] });
  expect(createDirectory(clouds.platform).holdsDirectoryRole(contoso, String(exchange["oid"]), exchangeAdministrator)).toBe(true);
});

test("Azure access without consent gives tokens without roles", async () => {
  const credential = credentials().inTenant(fabrikam);
  const arm = decodeJwt((await credential.getToken(`${clouds.environment.resourceManager.audience}/.default`))?.token ?? "");
  expect(arm).toMatchObject({ aud: "https://management.azure.com", tid: fabrikam });
  const graph = decodeJwt((await credential.getToken(`${clouds.environment.graph.audience}/.default`))?.token ?? "");
  expect(graph["roles"]).toBeUndefined();
});

test("the API's callers get a token with their role for our application, that the published keys verify", async () => {
  for (const { role, tenantId, clientId, clientSecret, scope } of clouds.clients) {
    const credential = new ClientSecretCredential(tenantId, clientId, clientSecret, {
      authorityHost: clouds.environment.authorityHost,
      disableInstanceDiscovery: true,
    });
    const { token } = await credential.getToken(scope);
    const metadata: { issuer: string; jwks_uri: string } = JSON.parse(
      await textOf(`${clouds.entra}/${tenantId}/v2.0/.well-known/openid-configuration`),
    );
    const keys = createRemoteJWKSet(new URL(metadata.jwks_uri));
    const { payload } = await jwtVerify(token, keys, { issuer: metadata.issuer, audience: clouds.application.applicationId });
    expect(payload).toMatchObject({
      azp: clientId,
      tid: tenantId,
      idtyp: "app",
      ver: "2.0",
      roles: [role === "partner" ? "Partner" : "Operator"],
    });
  }
  expect(clouds.clients.map(({ role }) => role)).toEqual(["partner", "partner", "operator"]);
});

test("the assertion's issuer, subject, audience, time and signature each have an error of their own", async () => {
  const { applicationId, homeTenantId } = clouds.application;
  const { tokens, identity } = { tokens: clouds.tokens, identity: clouds.platform.identity.managedIdentity };
  const assertion = {
    tenantId: homeTenantId,
    audience: "api://AzureADTokenExchange",
    objectId: identity.principalId,
    clientId: identity.clientId,
  };
  const signed = async (changes: Partial<typeof assertion & { lifetimeInSeconds: number }> = {}): Promise<string> =>
    (await tokens.issue({ ...assertion, authenticationClass: "2", roles: [], lifetimeInSeconds: 3600, ...changes })).token;
  const present = async (client_assertion: string): Promise<unknown> => {
    const { status, body } = await tokenRequest(homeTenantId, {
      grant_type: "client_credentials",
      client_id: applicationId,
      scope: "https://graph.microsoft.com/.default",
      client_assertion_type: "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
      client_assertion,
    });
    return status === 200 ? 200 : body["error_codes"];
  };
  const good = await signed();
  expect(await present(good)).toBe(200);
  expect(await present(await signed({ tenantId: contoso }))).toEqual([700211]);
  expect(await present(await signed({ objectId: clouds.application.applicationId }))).toEqual([700213]);
  expect(await present(await signed({ audience: "https://graph.microsoft.com" }))).toEqual([700212]);
  expect(await present(await signed({ lifetimeInSeconds: -10 }))).toEqual([700024]);
  expect(await present(`${good.slice(0, good.lastIndexOf("."))}.${"A".repeat(342)}`)).toEqual([700027]);
  expect(await present("nonsense")).toEqual([50027]);
});

test("what is wrong with a token request is said as Entra says it", async () => {
  const [partner] = clouds.clients;
  const form = {
    grant_type: "client_credentials",
    client_id: partner?.clientId ?? "",
    client_secret: partner?.clientSecret ?? "",
    scope: partner?.scope ?? "",
  };
  const home = partner?.tenantId ?? "";
  expect(await tokenRequest("00000000-0000-4000-8000-00000000dead", form)).toMatchObject({
    status: 400,
    body: { error: "invalid_request", error_codes: [90002] },
  });
  expect(await tokenRequest(contoso, form)).toMatchObject({
    status: 400,
    body: { error: "unauthorized_client", error_codes: [700016] },
  });
  const wrong = await tokenRequest(home, { ...form, client_secret: "guess" });
  expect(wrong).toMatchObject({ status: 401, body: { error: "invalid_client", error_codes: [7000215] } });
  expect(wrong.body["error_description"]).toMatch(
    /^AADSTS7000215: .+ Trace ID: \S+ Correlation ID: \S+ Timestamp: \d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ$/,
  );
  expect(await tokenRequest(home, { ...form, scope: "https://graph.microsoft.com/Mail.Read" })).toMatchObject({
    body: { error_codes: [1002012] },
  });
  expect(await tokenRequest(home, { ...form, scope: "https://unknown.example/.default" })).toMatchObject({
    body: { error: "invalid_resource", error_codes: [500011] },
  });
  expect(await tokenRequest(home, { ...form, grant_type: "password" })).toMatchObject({
    body: { error: "unsupported_grant_type" },
  });
});

test("a secret that Graph added works until it is removed", async () => {
  const directory = createDirectory(clouds.platform);
  const application = directory.addApplication(contoso, { displayName: "WebClient" });
  directory.ensureServicePrincipal(contoso, application.appId);
  const { credential, secretText } = directory.addPassword(contoso, application.id, { displayName: "one" }) ?? {};
  const form = {
    grant_type: "client_credentials",
    client_id: application.appId,
    client_secret: secretText ?? "",
    scope: "https://graph.microsoft.com/.default",
  };
  expect((await tokenRequest(contoso, form)).status).toBe(200);
  directory.deletePassword(contoso, application.id, credential?.keyId ?? "");
  expect(await tokenRequest(contoso, form)).toMatchObject({ status: 401, body: { error_codes: [7000215] } });
});

test("the consent page shows what is asked for and works without JavaScript", async () => {
  const html = await (await fetch(consentUrl(fabrikam))).text();
  expect(html).toContain("Mail.Send");
  expect(html).toContain("Exchange.ManageAsApp");
  expect(html).not.toContain("<script");
  expect(html).toContain('value="admin@fabrikam.onmicrosoft.example"');
  expect(html).toContain("signed &lt;state&gt;");
  const submit = async (account: string, action: string, tenant = "organizations"): Promise<Response> =>
    fetch(consentUrl(tenant), { method: "POST", body: new URLSearchParams({ account, action }), redirect: "manual" });

  const declined = new URL((await submit("admin@fabrikam.example", "cancel")).headers.get("location") ?? "");
  expect(Object.fromEntries(declined.searchParams)).toMatchObject({ error: "access_denied", state: "signed <state>" });
  expect(declined.searchParams.get("error_description")).toMatch(/^AADSTS65004/);
  expect((await submit("pilot@contoso.example", "accept")).status).toBe(403);
  expect(await (await submit("admin@contoso.example", "accept", fabrikam)).text()).toContain("AADSTS50020");
  const accepted = new URL((await submit("admin@fabrikam.example", "accept")).headers.get("location") ?? "");
  expect(accepted.searchParams.get("tenant")).toBe(fabrikam);
});

test("a stranger's redirect is never followed", async () => {
  const response = await fetch(consentUrl(contoso, { redirect_uri: "https://attacker.example/api/consent/callback" }), {
    redirect: "manual",
  });
  expect(response.status).toBe(400);
  expect(await response.text()).toContain("AADSTS50011");
});

test("the managed identity endpoint answers the app only", async () => {
  const ask = async (header: string, query: Record<string, string>): Promise<number> =>
    (
      await fetch(`${clouds.identity.endpoint}?${new URLSearchParams(query).toString()}`, {
        headers: { "x-identity-header": header },
      })
    ).status;
  const good = {
    "api-version": "2019-08-01",
    resource: "https://vault.azure.net",
    client_id: clouds.application.managedIdentityClientId,
  };
  expect(await ask(clouds.identity.header, good)).toBe(200);
  expect(await ask("guess", good)).toBe(401);
  expect(await ask(clouds.identity.header, { ...good, client_id: contoso })).toBe(400);
});

test("the published key set has no private part", async () => {
  const keys: { keys: Record<string, unknown>[] } = JSON.parse(await textOf(`${clouds.entra}/common/discovery/v2.0/keys`));
  expect(Object.keys(keys.keys[0] ?? {}).sort()).toEqual(["alg", "e", "kid", "kty", "n", "use"]);
  expect(createLocalJWKSet({ keys: [{ kty: "RSA", ...keys.keys[0] }] })).toBeTypeOf("function");
});
