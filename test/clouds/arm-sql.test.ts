/** Azure SQL in the simulated Azure: servers, their Entra administrator, databases and who may connect. */
import { expect, test } from "vitest";
import { createTestArm, ours, type TestArm } from "../support/arm-platform.ts";
import { ask, at, groupId, location, make, outcome, remove, rows } from "../support/arm-requests.ts";

const server = "Microsoft.Sql/servers/contoso-gateway";
const administrator = { login: "gateway-admins", sid: "5a1b0000-0000-4000-8000-000000000001", principalType: "Group" };
const serverBody = (properties: Record<string, unknown> = {}) => ({
  location,
  properties: { minimalTlsVersion: "1.2", administrators: { ...administrator, azureADOnlyAuthentication: true }, ...properties },
});
const refused = async (arm: TestArm, method: string, path: string, body?: unknown) =>
  at((await ask(arm, method, path, body === undefined ? {} : { body })).body, "error.code");

async function withServer(): Promise<TestArm> {
  const arm = createTestArm();
  await make(arm, groupId, { location });
  await make(arm, server, serverBody());
  return arm;
}

test("a server is accepted with both URLs, and is there with its administrator when they say so", async () => {
  const arm = createTestArm();
  await make(arm, groupId, { location });
  const begun = await ask(arm, "PUT", server, { body: serverBody() });
  expect([
    begun.status,
    Object.keys(begun.headers).filter((name) => /location|async/.test(name)),
    begun.headers["retry-after"],
  ]).toEqual([202, ["azure-asyncoperation", "location"], "15"]);
  expect(at((await ask(arm, "GET", server)).body, "properties.state")).toBe("Creating");
  expect(await outcome(arm, begun)).toMatchObject({ status: "Succeeded" });
  const { body } = await ask(arm, "GET", server);
  expect(at(body, "properties")).toMatchObject({
    state: "Ready",
    fullyQualifiedDomainName: "contoso-gateway.database.azure.example",
    administrators: { ...administrator, tenantId: ours.tenantId, azureADOnlyAuthentication: true },
  });
  expect(at((await ask(arm, "GET", `${server}/administrators/ActiveDirectory`)).body, "properties.sid")).toBe(administrator.sid);
  await remove(arm, server);
  expect((await ask(arm, "GET", server)).status).toBe(404);
});

test("a server with a login needs a good password, which nobody sees again; names are unique", async () => {
  const arm = createTestArm();
  await make(arm, groupId, { location });
  const login = (administratorLogin: string, administratorLoginPassword: string) => ({
    location,
    properties: { administratorLogin, administratorLoginPassword },
  });
  expect([
    await refused(arm, "PUT", server, login("admin", "correct-Horse-7")),
    await refused(arm, "PUT", server, login("gateway", "short")),
    await refused(arm, "PUT", "Microsoft.Sql/servers/Contoso", login("gateway", "correct-Horse-7")),
  ]).toEqual(["InvalidParameterValue", "PasswordNotComplex", "InvalidServerName"]);
  await make(arm, server, login("gateway", "correct-Horse-7"));
  expect(JSON.stringify(arm.arm.state())).not.toContain("correct-Horse-7");
  const other = groupId.replace("gateway", "other");
  await make(arm, other, { location });
  expect(await refused(arm, "PUT", `${other}/providers/${server}`, serverBody())).toBe("NameAlreadyExists");
  const path = `/subscriptions/${ours.subscriptionId}/providers/Microsoft.Sql/checkNameAvailability`;
  const { body } = await ask(arm, "POST", path, { body: { name: "contoso-gateway", type: "Microsoft.Sql/servers" } });
  expect(body).toMatchObject({ available: false, reason: "AlreadyExists" });
});

test("databases live in the server's region, in sizes that their tier has, and go with the server", async () => {
  const arm = await withServer();
  const database = `${server}/databases/iqsuite`;
  const body = (sku: string, properties: Record<string, unknown> = {}) => ({ location, sku: { name: sku }, properties });
  expect([
    await refused(arm, "PUT", database, body("S99")),
    await refused(arm, "PUT", database, body("Basic", { maxSizeBytes: 4 * 1024 ** 3 })),
    await refused(arm, "PUT", database, { ...body("S0"), location: "northeurope" }),
    await refused(arm, "PUT", `${server}x/databases/iqsuite`, body("S0")),
  ]).toEqual(["InvalidSkuName", "InvalidMaxSizeTierCombination", "InvalidResourceLocation", "ParentResourceNotFound"]);
  const made = await make(arm, database, body("S0", { requestedBackupStorageRedundancy: "Local" }));
  expect(made).toMatchObject({
    sku: { name: "S0", tier: "Standard", capacity: 10 },
    properties: { status: "Online", currentBackupStorageRedundancy: "Local", currentServiceObjectiveName: "S0" },
  });
  const scaled = await make(arm, database, body("S2", { requestedBackupStorageRedundancy: "Local" }));
  expect(at(scaled, "properties.databaseId")).toBe(at(made, "properties.databaseId"));
  expect(rows((await ask(arm, "GET", `${server}/databases`)).body).map(({ name }) => name)).toEqual(["iqsuite"]);
  await remove(arm, server);
  expect((await ask(arm, "GET", database)).status).toBe(404);
});

test("the administrator stays while only Entra signs in, and firewall rules are ranges", async () => {
  const arm = await withServer();
  const path = `${server}/administrators/ActiveDirectory`;
  const only = `${server}/azureADOnlyAuthentications/Default`;
  expect(await refused(arm, "DELETE", path)).toBe("AadOnlyAuthenticationIsEnabled");
  await make(arm, only, { properties: { azureADOnlyAuthentication: false } });
  const sid = "5a1b0000-0000-4000-8000-000000000002";
  await make(arm, path, { properties: { administratorType: "ActiveDirectory", login: "others", sid } });
  expect(at((await ask(arm, "GET", server)).body, "properties.administrators")).toMatchObject({ login: "others", sid });
  await remove(arm, path);
  expect(at((await ask(arm, "GET", server)).body, "properties.administrators")).toBeUndefined();
  expect(await refused(arm, "PUT", only, { properties: { azureADOnlyAuthentication: true } })).toBe(
    "AadOnlyAuthenticationRequiresAadAdmin",
  );
  const rule = (startIpAddress: string, endIpAddress: string) => ({ properties: { startIpAddress, endIpAddress } });
  const rulePath = `${server}/firewallRules/gateway`;
  expect(await refused(arm, "PUT", rulePath, rule("203.0.113.9", "203.0.113.8"))).toBe("InvalidParameterValue");
  expect((await ask(arm, "PUT", rulePath, { body: rule("203.0.113.8", "203.0.113.8") })).status).toBe(201);
  expect((await remove(arm, rulePath)).status).toBe(200);
});
