/** Microsoft Graph over the wire through its SDK: tokens reach a host with a port, failures are ours. */
import { afterAll, beforeAll, expect, test } from "vitest";
import * as z from "zod";
import { createCredentials } from "../../shared/entra/credentials.ts";
import { createGraph, type Graph, literal } from "../../shared/graph/client.ts";
import { createOrganizations } from "../../shared/graph/organization.ts";
import { startClouds, type TestClouds } from "../support/clouds.ts";

const organization = "c0ffee00-0000-4000-8000-000000000001";
const stranger = "fab00000-0000-4000-8000-000000000002";
const anything = z.looseObject({});

let clouds: TestClouds;
let graph: Graph;
beforeAll(async () => {
  clouds = await startClouds();
  const domains = ["contoso.example", { name: "unproven.example", verified: false }];
  await clouds.organize({ tenantId: organization, domains, mailboxes: [] });
  await clouds.organize({ tenantId: stranger, domains: ["fabrikam.example"], mailboxes: [] });
  await clouds.consent(organization);
  graph = createGraph({
    environment: clouds.environment,
    credentials: createCredentials(clouds.environment, clouds.application),
  });
});
afterAll(() => clouds.stop());

test("only verified domains are listed", async () => {
  const domains = await createOrganizations(graph).verifiedDomains(organization);
  expect(domains).toContain("contoso.example");
  expect(domains).not.toContain("unproven.example");
});

test("the smart host is the MX record that Microsoft 365 asks for", async () => {
  const organizations = createOrganizations(graph);
  expect(await organizations.mailExchangerOf(organization, "contoso.example")).toEqual({
    host: "contoso-example.mail.protection.outlook.com",
    preference: 0,
  });
  expect(await organizations.mailExchangerOf(organization, "unproven.example")).toBeUndefined();
  await expect(organizations.mailExchangerOf(organization, "nobody.example")).rejects.toMatchObject({ code: "GraphNotFound" });
});

test("without consent the error says what to do, not what Entra's number is", async () => {
  await expect(graph.get(stranger, "/organization", anything)).rejects.toMatchObject({
    code: "ConsentRequired",
    status: 403,
    transient: false,
    message: expect.stringMatching(/^our application is not known in the Entra tenant .*consent link/),
  });
});

test("a missing permission is a missing consent", async () => {
  await clouds.fault("graph", "refuse");
  await expect(graph.get(organization, "/organization", anything)).rejects.toMatchObject({ code: "ConsentRequired" });
});

test("a short throttle is waited for, a long one is handed on", async () => {
  await clouds.fault("graph", { kind: "throttle", retryAfterInSeconds: 0 });
  await expect(graph.get(organization, "/organization", anything)).resolves.toBeDefined();
  await clouds.fault("graph", { kind: "throttle", retryAfterInSeconds: 90 });
  await expect(graph.get(organization, "/organization", anything)).rejects.toMatchObject({
    code: "GraphBusy",
    transient: true,
    retryAfterInSeconds: 90,
  });
});

test("a write that may have happened isn't repeated by itself", async () => {
  const since = (await clouds.requests()).at(-1)?.seq ?? 0;
  await clouds.fault("graph", { kind: "status", status: 503, retryAfterInSeconds: 0 }, { method: "POST" }, 2);
  await expect(graph.post(organization, "/servicePrincipals", { appId: "x" }, anything)).rejects.toMatchObject({
    code: "GraphBusy",
  });
  expect((await clouds.requests("graph", since)).filter(({ method }) => method === "POST")).toHaveLength(1);
  // The second fault is still waiting.
  await expect(graph.post(organization, "/servicePrincipals", { appId: "x" }, anything)).rejects.toMatchObject({
    code: "GraphBusy",
  });
});

test("a lost connection is transient", async () => {
  await clouds.fault("graph", "cut-before-effect");
  await expect(graph.get(organization, "/organization", anything)).rejects.toMatchObject({
    code: "GraphUnreachable",
    transient: true,
  });
});

test("only Graph's own word is evidence of absence", async () => {
  expect(await graph.find(organization, `/applications(uniqueName=${literal("nobody's & none")})`, anything)).toBeUndefined();
  await clouds.fault("graph", { kind: "html", status: 404 });
  await expect(graph.find(organization, "/domains/contoso.example", anything)).rejects.toMatchObject({ code: "GraphRefused" });
});

test("Entra out of order is transient, and no consent is missing", async () => {
  const fresh = createGraph({
    environment: clouds.environment,
    credentials: createCredentials(clouds.environment, clouds.application),
  });
  await clouds.fault("entra", "503", { path: "token" }, 4);
  await expect(fresh.get(organization, "/organization", anything)).rejects.toMatchObject({ transient: true, status: 503 });
});
