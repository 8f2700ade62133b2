/** Consent is proven by tokens and domains: pending, granted and refused are told apart. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { createCredentials } from "../../shared/entra/credentials.ts";
import { createGraph } from "../../shared/graph/client.ts";
import { type ConsentQuestion, checkConsent, refusalOf } from "../../shared/graph/consent.ts";
import { adminConsentUrl } from "../../shared/graph/consent-link.ts";
import { startClouds, type TestClouds } from "../support/clouds.ts";

const organization = "c0ffee00-0000-4000-8000-000000000001";
const expectedRoles = { graph: ["Domain.Read.All", "Mail.Send"], exchange: ["Exchange.ManageAsApp"] };

let clouds: TestClouds;
let check: (question: ConsentQuestion) => ReturnType<ReturnType<typeof checkConsent>>;
beforeAll(async () => {
  clouds = await startClouds();
  const domains = ["contoso.example", { name: "unproven.example", verified: false }];
  await clouds.organize({ tenantId: organization, domains, mailboxes: [] });
  const { environment } = clouds;
  const credentials = createCredentials(environment, clouds.application);
  check = checkConsent({ environment, credentials, graph: createGraph({ environment, credentials }) });
});
afterAll(() => clouds.stop());

test("before consent it is pending, after it granted, without anything kept from before", async () => {
  const question = { organization, domains: ["contoso.example"], expectedRoles };
  const pending = await check(question);
  expect(pending).toMatchObject({ state: "pending", granted: false });
  expect(pending.missing.map(({ kind, name }) => `${kind} ${name}`)).toEqual(["token Microsoft Graph", "token Exchange Online"]);
  expect(refusalOf(pending)).toBeUndefined();

  await clouds.consent(organization);
  expect(await check(question)).toEqual({ state: "granted", granted: true, missing: [], tokenTenant: organization });
});

test("a role that wasn't granted is named, and waited for", async () => {
  const roles = { ...expectedRoles, graph: ["Mail.Send", "Directory.ReadWrite.All"] };
  expect(await check({ organization, domains: ["contoso.example"], expectedRoles: roles })).toMatchObject({
    state: "pending",
    granted: false,
    tokenTenant: organization,
    missing: [{ kind: "role", name: "Directory.ReadWrite.All", reason: { code: "ConsentRequired" } }],
  });
});

test("a domain that isn't verified there is a refusal that names it and what to do", async () => {
  const state = await check({ organization, domains: ["contoso.example", "unproven.example", "victim.example"], expectedRoles });
  expect(state).toMatchObject({ state: "refused", granted: false });
  expect(state.missing.map(({ name }) => name)).toEqual(["unproven.example", "victim.example"]);
  expect(refusalOf(state)).toMatchObject({
    code: "DomainNotVerified",
    transient: false,
    message: expect.stringMatching(/unproven\.example is not verified .*verify it .* or take it out of the spec/),
  });
});

test("what can't be told is an error, not a missing consent", async () => {
  await clouds.fault("graph", { kind: "throttle", retryAfterInSeconds: 30 });
  await expect(check({ organization, domains: ["contoso.example"], expectedRoles })).rejects.toMatchObject({
    code: "GraphBusy",
    transient: true,
  });
});

test("the link asks one tenant for everything that our application is registered with, and carries our state", async () => {
  const { environment, application } = clouds;
  const link = adminConsentUrl({
    environment,
    organization,
    applicationId: application.applicationId,
    redirectUri: "http://localhost:7071/api/consent/callback",
    state: "a b&c=d",
  });
  const url = new URL(link);
  expect(url.pathname).toBe(`/${organization}/v2.0/adminconsent`);
  expect(Object.fromEntries(url.searchParams)).toEqual({
    client_id: application.applicationId,
    scope: "https://graph.microsoft.com/.default",
    redirect_uri: "http://localhost:7071/api/consent/callback",
    state: "a b&c=d",
  });
  const page = await fetch(link);
  expect({ status: page.status, type: page.headers.get("content-type") }).toEqual({
    status: 200,
    type: expect.stringMatching(/html/),
  });
});
