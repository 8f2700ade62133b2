/**
 * Clouds that lag behind, as they do: what was just written is missed by the first looks. Sources: research on Graph's eventual consistency
 * (chapter 3.6), on Exchange Online (chapters 1.6, 1.10 and 2.2), and "Azure role-based access control for Key Vault".
 */
import { SecretClient } from "@azure/keyvault-secrets";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createCredentials } from "../../shared/entra/credentials.ts";
import { startClouds, type TestClouds } from "../support/clouds.ts";
import { exchangeOf, type ExchangeCaller, valueOf } from "../support/exchange.ts";

const contoso = "c0ffee00-0000-4000-8000-000000000001";
const microsoftGraph = "00000003-0000-0000-c000-000000000000";
const directoryReadAll = "7ab1d382-f21e-4acd-a863-ba3e13f7da61";

let clouds: TestClouds;
let exchange: ExchangeCaller;
beforeAll(async () => {
  clouds = await startClouds({ lag: 1 });
  await clouds.organize({
    tenantId: contoso,
    domains: ["contoso.example"],
    subscriptionId: "c0ffee00-0000-4000-8000-0000000000a1",
  });
  await clouds.consent(contoso);
});
afterAll(() => clouds.stop());

/** Each time another credential: MSAL would give its cached token. */
const graphToken = async (): Promise<string> =>
  (
    await createCredentials(clouds.environment, clouds.application)
      .inTenant(contoso)
      .getToken(`${clouds.environment.graph.audience}/.default`)
  )?.token ?? "";

async function graph(method: string, path: string, body?: unknown): Promise<{ status: number; body: Record<string, unknown> }> {
  const response = await fetch(`${clouds.graph}/v1.0${path}`, {
    method,
    headers: {
      authorization: `Bearer ${await graphToken()}`,
      "content-type": "application/json",
      prefer: "create-if-missing",
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  const parsed: unknown = text === "" ? {} : JSON.parse(text);
  return { status: response.status, body: { ...(typeof parsed === "object" ? parsed : {}) } };
}
const statuses = async (count: number, ask: () => Promise<{ status: number }>): Promise<number[]> => {
  const result = [];
  for (let look = 0; look < count; look += 1) result.push((await ask()).status);
  return result;
};

test("the first token after consent doesn't carry what was consented to", async () => {
  const rolesIn = (token: string): unknown => JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString())["roles"];
  expect(rolesIn(await graphToken())).toBeUndefined();
  expect(rolesIn(await graphToken())).toContain("Application.ReadWrite.OwnedBy");
  // Exchange is a resource of its own, with its own first token.
  expect((await (await exchangeOf(clouds, contoso, { settled: false })).call("Get-AcceptedDomain")).status).toBe(403);
  exchange = await exchangeOf(clouds, contoso, { settled: false });
});

test("the Entra role reaches Exchange Online after two calls", async () => {
  expect(await statuses(3, () => exchange.call("Get-AcceptedDomain"))).toEqual([401, 401, 200]);
});

test("an application is found by its unique name at once, by its id and behind a service principal later", async () => {
  const name = "/applications(uniqueName='gatehouse-settling')";
  const { body: application } = await graph("PATCH", name, { displayName: "Settling" });
  expect(await statuses(1, () => graph("GET", name))).toEqual([200]);
  expect(await statuses(2, () => graph("GET", `/applications/${String(application["id"])}`))).toEqual([404, 200]);
  const addPrincipal = (): ReturnType<typeof graph> => graph("POST", "/servicePrincipals", { appId: application["appId"] });
  expect(await addPrincipal()).toMatchObject({ status: 400, body: { error: { code: "NoBackingApplicationObject" } } });
  const { status, body: principal } = await addPrincipal();
  expect(status).toBe(201);

  const { body: resource } = await graph("GET", `/servicePrincipals(appId='${microsoftGraph}')`);
  const assign = (): ReturnType<typeof graph> =>
    graph("POST", `/servicePrincipals/${String(resource["id"])}/appRoleAssignedTo`, {
      principalId: principal["id"],
      resourceId: resource["id"],
      appRoleId: directoryReadAll,
    });
  expect(await assign()).toMatchObject({
    status: 404,
    body: { error: { code: "Request_ResourceNotFound", message: expect.stringContaining("does not exist") } },
  });
  expect((await assign()).status).toBe(201);
  const listed = async (): Promise<number> =>
    valueOf((await graph("GET", `/servicePrincipals/${String(principal["id"])}/appRoleAssignments`)).body).length;
  expect([await listed(), await listed()]).toEqual([0, 1]);
});

test("a connector and a rule are there, but not in the first answer of their Get-", async () => {
  const connector = { Name: "FROM Azure VM to M365", SenderDomains: ["*"] };
  await exchange.run("New-InboundConnector", connector);
  const listed = async (): Promise<number> => (await exchange.list("Get-InboundConnector")).length;
  expect([await listed(), await listed()]).toEqual([0, 1]);

  await exchange.run("New-TransportRule", { Name: "Approve", SetSCL: "-1" });
  expect((await exchange.call("New-TransportRule", { Name: "Approve", SetSCL: "-1" })).body).toMatchObject({
    error: { message: expect.stringContaining("AlreadyExists") },
  });
  const byName = (): ReturnType<ExchangeCaller["call"]> => exchange.call("Get-TransportRule", { Identity: "Approve" });
  expect(await statuses(2, byName)).toEqual([404, 200]);
});

test("a role in a vault opens it after the first refusal", async () => {
  const { peers } = clouds.platform;
  const { vaultNamed, holdsRole } = peers;
  peers.vaultNamed = (name) => (name === "contoso-vault" ? { id: `/vaults/${name}`, tenantId: contoso } : undefined);
  peers.holdsRole = () => true;
  const credential = createCredentials(clouds.environment, clouds.application).inTenant(contoso);
  const secrets = new SecretClient(clouds.vault.replace("{name}", "contoso-vault"), credential, {
    disableChallengeResourceVerification: true,
    retryOptions: { maxRetries: 0 },
  });
  await expect(secrets.setSecret("loop-guid", "value")).rejects.toMatchObject({ statusCode: 403, code: "Forbidden" });
  expect((await secrets.setSecret("loop-guid", "value")).value).toBe("value");
  Object.assign(peers, { vaultNamed, holdsRole });
});
