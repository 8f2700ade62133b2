/** All of a gateway's Azure resources over the wire, in the order of an onboarding, and what is special to them beside the conformance suite. */
import { createHash } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { createAzureAccess } from "../../shared/azure/access.ts";
import { type Azure, createAzure } from "../../shared/azure/client.ts";
import { ownershipTags, type Place } from "../../shared/azure/place.ts";
import { type Credentials, createCredentials } from "../../shared/entra/credentials.ts";
import type { Stored } from "../../infra/local/clouds/arm/estate.ts";
import type { GuestState } from "../../infra/local/clouds/guest/state.ts";
import { partsOf } from "../../shared/guest/encoding.ts";
import { gatewayDocument } from "../../shared/guest/gateway.ts";
import { smtpRestartDocument } from "../../shared/guest/smtp-restart.ts";
import { ensuring } from "../../shared/resources/ensure.ts";
import { gatewayVm } from "../../shared/resources/gateway-vm.ts";
import { type ActualGuest, guest } from "../../shared/resources/guest.ts";
import { networkInterface } from "../../shared/resources/network-interface.ts";
import { networkSecurityGroup } from "../../shared/resources/network-security-group.ts";
import { publicIpAddress } from "../../shared/resources/public-ip-address.ts";
import type { Begun, Done, Resource } from "../../shared/resources/resource.ts";
import { resourceGroup } from "../../shared/resources/resource-group.ts";
import { roleAssignment } from "../../shared/resources/role-assignment.ts";
import { vault } from "../../shared/resources/vault.ts";
import { virtualNetwork } from "../../shared/resources/virtual-network.ts";
import { vmIdentity } from "../../shared/resources/vm-identity.ts";
import { servicesSchema } from "../../shared/tenants/spec.ts";
import { createVaults, type Vaults } from "../../shared/vault/client.ts";
import { addressed, armSchemas } from "../support/arm-schemas.ts";
import { startClouds, type TestClouds } from "../support/clouds.ts";
import { singleGatewayNames } from "../support/names.ts";

const tenantId = "c0ffee00-0000-4000-8000-000000000001";
const subscriptionId = "c0ffee00-0000-4000-8000-0000000000a1";
const owner = { partnerId: "northwind", tenantId: "contoso" };
const names = singleGatewayNames(owner, "westeurope");
const place: Place = { owner, entraTenantId: tenantId, subscriptionId, resourceGroup: names.resourceGroup, region: "westeurope" };
const services = servicesSchema.parse({ rdp: { sources: ["203.0.113.0/24"] }, https: {} });
const password = "Correct-Horse-7-Battery";

let clouds: TestClouds;
let credentials: Credentials;
let azure: Azure;
let vaults: Vaults;

beforeAll(async () => {
  clouds = await startClouds();
  await clouds.organize({ tenantId, domains: ["contoso.example"], mailboxes: ["pilot@contoso.example"], subscriptionId });
  const { environment, application } = clouds;
  credentials = createCredentials(environment, application);
  azure = createAzure({ environment, credentials });
  vaults = createVaults({ environment, credentials });
});
afterAll(() => clouds?.stop());

const polled = async (written: Done | Begun): Promise<void> => {
  while (written.state === "begun") {
    const polled = await azure.pollOperation({ entraTenantId: tenantId, operationUrl: written.operationUrl });
    if (polled.status === "succeeded") return;
    if (polled.status === "failed") throw new Error(`${polled.error.code}: ${polled.error.message}`);
  }
};

/** As an orchestration does it, without its timers: write what differs, poll, look again. */
async function ensure<Desired, Actual>(
  resource: Resource<Desired, Actual>,
  desired: Desired,
): Promise<{ actual: Actual; writes: number }> {
  for (let writes = 0; writes < 4; writes++) {
    const ensured = await ensuring(resource, async () => undefined)(desired);
    if (!("begun" in ensured)) return { actual: ensured.actual, writes: writes + (ensured.change === "unchanged" ? 0 : 1) };
    await polled(ensured.begun);
  }
  throw new Error(`the ${resource.kind} does not settle`);
}

const writesSince = async (sequence: number): Promise<string[]> =>
  (await clouds.requests(undefined, sequence))
    .filter(({ effect }) => effect === "write")
    .map(({ cloud, method, url }) => `${cloud} ${method} ${new URL(url).pathname}`);
const lastSequence = async (): Promise<number> => (await clouds.requests()).at(-1)?.seq ?? 0;

async function settles<Desired, Actual>(resource: Resource<Desired, Actual>, desired: Desired): Promise<Actual> {
  expect(await resource.observe(desired)).toEqual({ state: "absent" });
  return (await ensure(resource, desired)).actual;
}

async function goes<Desired, Actual>(resource: Resource<Desired, Actual>, desired: Desired): Promise<void> {
  await polled(await resource.remove(desired));
  expect(await resource.observe(desired)).toEqual({ state: "absent" });
}

describe("a gateway's Azure resources, in the order of an onboarding", () => {
  const desired = {
    group: place,
    vault: { ...place, name: names.vault },
    identity: { ...place, name: names.vmIdentity },
    address: { ...place, name: names.publicIpAddress, dnsLabel: names.dnsLabel },
    security: { ...place, name: names.networkSecurityGroup, services },
  };
  let found: {
    vaultId: string;
    vaultUrl: string;
    identity: { id: string; principalId: string; clientId: string };
    securityId: string;
    addressId: string;
    fqdn: string;
    subnetId: string;
    interfaceId: string;
  };
  const grantFor = (principalId: string, role: "Key Vault Secrets User" | "Key Vault Secrets Officer") => ({
    owner,
    entraTenantId: tenantId,
    subscriptionId,
    scope: found.vaultId,
    principalId,
    role,
  });
  const networkDesired = () => ({
    ...place,
    name: names.virtualNetwork,
    addressPrefix: "10.20.0.0/24",
    subnet: { name: names.subnet, addressPrefix: "10.20.0.0/26" },
    networkSecurityGroupId: found.securityId,
  });
  const interfaceDesired = () => ({
    ...place,
    name: names.networkInterface,
    subnetId: found.subnetId,
    networkSecurityGroupId: found.securityId,
    publicIpAddressId: found.addressId,
  });
  const machineDesired = async () => ({
    ...place,
    name: names.virtualMachine,
    computerName: names.computerName,
    size: "Standard_D4as_v5",
    image: {
      publisher: "MicrosoftWindowsServer",
      offer: "WindowsServer",
      sku: "2022-datacenter-azure-edition",
      version: "latest",
    },
    disk: "Premium_LRS" as const,
    networkInterfaceId: found.interfaceId,
    identityId: found.identity.id,
    adminUsername: "gatehouse",
    adminPassword: (await vaults.first(found.vaultUrl, "admin-password", tenantId)) ?? {
      vaultUrl: found.vaultUrl,
      name: "",
      version: "",
    },
  });
  const guestDesired = async (generation = 1, smartHost = "contoso-example.mail.protection.outlook.com") => ({
    ...place,
    virtualMachine: names.virtualMachine,
    identityClientId: found.identity.clientId,
    document: gatewayDocument({
      generation,
      fqdn: found.fqdn,
      smartHost,
      domains: ["contoso.example"],
      loopHeader: "X-iqsuite-process",
      loopGuid: (await vaults.first(found.vaultUrl, "loop-guid", tenantId)) ?? {
        vaultUrl: found.vaultUrl,
        name: "",
        version: "",
      },
      services,
    }),
  });

  const runsOf = async (prefix: string): Promise<string[]> => {
    const { virtualMachineRunCommands } = await azure.clients(place).compute();
    const runs: string[] = [];
    for await (const { name = "" } of virtualMachineRunCommands.listByVirtualMachine(place.resourceGroup, names.virtualMachine))
      if (name.startsWith(prefix)) runs.push(name);
    return runs.toSorted();
  };

  test("access is proven by what was granted", async () => {
    expect(await createAzureAccess({ azure, credentials })({ entraTenantId: tenantId, subscriptionId })).toMatchObject({
      granted: true,
      missing: [],
      subscriptionState: "Enabled",
    });
  });

  test("before there is a group, everything in it is absent", async () => {
    for (const resource of [vault({ azure }), vmIdentity({ azure })] as const)
      expect(await resource.observe(desired.vault)).toEqual({ state: "absent" });
    expect(await networkSecurityGroup({ azure }).observe(desired.security)).toEqual({ state: "absent" });
    expect(
      await guest({ azure }).observe({
        ...place,
        virtualMachine: "gateway-1",
        identityClientId: tenantId,
        document: anyDocument(),
      }),
    ).toEqual({
      state: "absent",
    });
  });

  test("resource group", async () => {
    const actual = await settles(resourceGroup({ azure }), desired.group);
    expect(actual.region).toBe("westeurope");
  });

  test("vault, identity, public address and security group", async () => {
    const madeVault = await settles(vault({ azure }), desired.vault);
    const identity = await settles(vmIdentity({ azure }), desired.identity);
    const address = await settles(publicIpAddress({ azure }), desired.address);
    const security = await settles(networkSecurityGroup({ azure }), desired.security);
    expect(address).toMatchObject({ sku: "Standard", allocation: "Static", reverseFqdn: address.fqdn });
    expect(address.fqdn).toMatch(new RegExp(`^${names.dnsLabel}\\.westeurope\\.`));
    found = {
      vaultId: madeVault.id,
      vaultUrl: madeVault.url,
      identity,
      securityId: security.id,
      addressId: address.id,
      fqdn: address.fqdn,
      subnetId: "",
      interfaceId: "",
    };
  });

  test("role assignments open the vault to us and to the machine", async () => {
    await expect(
      vaults.write({ vaultUrl: found.vaultUrl, name: "loop-guid", value: "x", entraTenantId: tenantId }),
    ).rejects.toMatchObject({
      code: "VaultAccessSettling",
      transient: true,
    });
    const { principalId } = await createAzureAccess({ azure, credentials })({ entraTenantId: tenantId, subscriptionId });
    await settles(roleAssignment({ azure }), grantFor(principalId ?? "", "Key Vault Secrets Officer"));
    await settles(roleAssignment({ azure }), grantFor(found.identity.principalId, "Key Vault Secrets User"));
  });

  test("secrets are written once and come back as references", async () => {
    expect(await vaults.first(found.vaultUrl, "loop-guid", tenantId)).toBeUndefined();
    const value = "657a43d3-f52a-4969-93aa-60cfc012e1d6";
    const loopGuid = await vaults.write({
      vaultUrl: found.vaultUrl,
      name: "loop-guid",
      value,
      entraTenantId: tenantId,
      tags: ownershipTags(owner),
    });
    await vaults.write({ vaultUrl: found.vaultUrl, name: "admin-password", value: password, entraTenantId: tenantId });
    expect(await vaults.first(found.vaultUrl, "loop-guid", tenantId)).toEqual(loopGuid);
    expect(await vaults.read(loopGuid, tenantId)).toBe(value);
    expect(await vaults.seal(value, [loopGuid], tenantId)).toEqual(loopGuid);
    expect(await vaults.seal("another", [loopGuid], tenantId)).toEqual({ fingerprint: expect.stringMatching(/^[0-9a-f]{8}$/) });
    await expect(
      vaults.read({ ...loopGuid, vaultUrl: "https://attacker.example/vaults/contoso" }, tenantId),
    ).rejects.toMatchObject({
      code: "VaultForeign",
    });
  });

  test("network, interface and machine", async () => {
    found.subnetId = (await settles(virtualNetwork({ azure }), networkDesired())).subnetId;
    found.interfaceId = (await settles(networkInterface({ azure }), interfaceDesired())).id;
    const machine = await settles(gatewayVm({ azure, vaults }), await machineDesired());
    expect(machine).toMatchObject({ securityType: "TrustedLaunch", secureBoot: true, vTpm: true, bootDiagnostics: true });
  });

  test("guest", async () => {
    const resource = guest({ azure });
    const actual = await settles(resource, await guestDesired());
    expect(actual).toEqual({
      run: expect.stringMatching(/^gatehouse-set-1-/),
      inDesiredState: true,
      generation: 1,
      differences: [],
      failure: null,
      failures: 0,
    });

    // Another document has to be set; the run before stays until then, the one before that goes.
    const other = await ensure(resource, await guestDesired(2, "fabrikam-example.mail.protection.outlook.com"));
    expect(other.actual).toMatchObject({ inDesiredState: true, generation: 2, run: expect.stringMatching(/^gatehouse-set-2-/) });
    const back = await ensure(resource, await guestDesired(3));
    expect(back).toMatchObject({ writes: 1, actual: { generation: 3, run: expect.stringMatching(/^gatehouse-set-3-/) } });
    const runs = await runsOf("gatehouse");
    expect(runs.map((name) => name.replace(/-[0-9a-f]+$/, ""))).toEqual(["gatehouse-set-2", "gatehouse-set-3"]);
  });

  test("guest: a fresh test looks and changes nothing", async () => {
    const resource = guest({ azure });
    const now = await guestDesired(3);
    const before = await lastSequence();
    await polled(await resource.testAgain(now));
    expect(await resource.observe(now)).toMatchObject({
      actual: { run: expect.stringMatching(/^gatehouse-test-4-/), inDesiredState: true },
    });
    expect((await writesSince(before)).filter((write) => write.includes("PUT"))).toEqual([]);
  });

  test("guest: a run for one request takes away those of earlier requests that have ended, and no other", async () => {
    const resource = guest({ azure });
    const ownRuns = await runsOf("gatehouse-set");
    const asked = async (request: string): Promise<void> => {
      const document = smtpRestartDocument({ generation: 3, request });
      const desired = { ...(await guestDesired(3)), document };
      const name = `gatehouse-smtp-${request}`;
      await polled(await resource.runOnce(desired, name));
      expect(await resource.outcomeOf(desired, name)).toMatchObject({ actual: { inDesiredState: true, failure: null } });
    };
    const [first, second, third] = ["aaaaaaaaaaaa", "bbbbbbbbbbbb", "cccccccccccc"] as const;
    await asked(first);
    const stored = clouds.platform.collection<Stored>("arm.microsoft.compute/virtualmachines/runcommands");
    const [key, ended] = stored.entries().find(([, { name }]) => name.endsWith(first)) ?? [];
    if (key === undefined || ended === undefined) throw new Error("nothing has run");
    const properties = { ...ended.body.properties, provisioningState: "Updating" };
    stored.set(key, { ...ended, body: { ...ended.body, properties } });
    await asked(second);
    expect(await runsOf("gatehouse-smtp")).toEqual([`gatehouse-smtp-${first}`, `gatehouse-smtp-${second}`]);

    stored.set(key, ended);
    await asked(third);
    await vi.waitUntil(async () => (await runsOf("gatehouse-smtp")).length === 1, { timeout: 25_000, interval: 50 });
    expect(await runsOf("gatehouse-smtp")).toEqual([`gatehouse-smtp-${third}`]);
    expect(await runsOf("gatehouse-set")).toEqual(ownRuns);
  });

  test("guest: a try that has looked before another one began a run begins none of its own", async () => {
    const resource = guest({ azure });
    const earlier = await guestDesired(3);
    const wanted = await guestDesired(3, "northwind-example.mail.protection.outlook.com");
    const underway = { code: "OperationUnderway", transient: true };
    expect(await resource.observe(wanted)).toEqual({ state: "absent" });
    const begun = await resource.create(wanted);
    await expect(resource.create(wanted)).rejects.toMatchObject(underway);
    await polled(begun);

    const observed = await resource.observe(wanted);
    if (observed.state !== "present") throw new Error(observed.state);
    await polled(await resource.update(wanted, [], observed.actual));
    await expect(resource.update(wanted, [], observed.actual)).rejects.toMatchObject(underway);
    await settles(resource, earlier);
  });

  test("guest: an outdated document is tried twice, then given up with the engine's own words", async () => {
    const outdated = await guestDesired(2);
    await expect(ensure(guest({ azure }), outdated)).rejects.toMatchObject({ code: "GuestFailed", target: "GenerationOutdated" });
    // The next operation starts afresh.
    expect(await ensure(guest({ azure }), await guestDesired(3))).toMatchObject({
      actual: { inDesiredState: true } satisfies Partial<ActualGuest>,
    });
  });

  test("guest: a document that one run can't carry goes in parts, one run each, and drift in one of them is found and set", async () => {
    const resource = guest({ azure });
    const small = await guestDesired(4);
    // Text that gzip can't make much smaller.
    const noise = (index: number): string => createHash("sha512").update(String(index)).digest("base64");
    const registry = Array.from({ length: 70 }, (_, index) => ({
      path: "HKLM\\SOFTWARE\\Contoso",
      name: `Value${index}`,
      type: "String" as const,
      value: noise(index),
    }));
    const document = { ...small.document, registry: [...(small.document.registry ?? []), ...registry] };
    const desired = { ...small, document };
    const { length } = partsOf(document);
    expect(length).toBeGreaterThan(1);
    const { actual, writes } = await ensure(resource, desired);
    expect({ writes, ...actual }).toMatchObject({ writes: length, inDesiredState: true, generation: 4, differences: [] });

    const guests = clouds.platform.collection<GuestState>("arm.guests");
    for (const [key, state] of guests.entries())
      guests.set(key, { ...state, registry: { ...state.registry, "hklm\\software\\contoso": {} } });
    await polled(await resource.testAgain(desired));
    const drifted = await resource.observe(desired);
    expect(drifted).toMatchObject({ actual: { inDesiredState: false, part: expect.any(Number) } });
    const found = drifted.state === "present" ? drifted.actual.differences : [];
    expect(found).toEqual(registry.map(({ path, name }) => `registry/${path}\\${name}`));
    expect((await ensure(resource, desired)).actual).toMatchObject({ inDesiredState: true, differences: [] });

    // A change in the first part of the same generation: the last one is run again, since it restarts what reads the first.
    const restarts = () => guests.values().map((state) => state.restarts["SMTPSVC"] ?? 0);
    const before = restarts();
    const first = registry.map((entry, index) => (index === 0 ? { ...entry, value: noise(99) } : entry));
    const changed = { ...document, registry: [...(small.document.registry ?? []), ...first] };
    expect((await ensure(resource, { ...desired, document: changed })).writes).toBeGreaterThan(1);
    expect(restarts()).toEqual(before.map((count) => count + 1));

    // It comes back after a shorter one: what its last part came to before that is past.
    await settles(resource, small);
    const again = { ...desired, document: changed };
    expect((await ensure(resource, again)).writes).toBe(partsOf(changed).length);
  });

  test("guest: a run that the machine's agent never took up is no run under way, but is done again", async () => {
    const desired = await guestDesired(9);
    const unready = { resource: "/runCommands/", failure: "VMAgentStatusCommunicationError" };
    const headers = { "content-type": "application/json" };
    await fetch(`${clouds.control}/azure/failures`, { method: "POST", headers, body: JSON.stringify(unready) });
    await expect(ensure(guest({ azure }), desired)).rejects.toThrow("VM 'gateway-1' has not reported status");
    expect((await ensure(guest({ azure }), desired)).writes).toBe(1);
  });

  test("all of it goes, in the order backwards", async () => {
    await goes(guest({ azure }), await guestDesired(3));
    await goes(gatewayVm({ azure, vaults }), await machineDesired());
    await goes(networkInterface({ azure }), interfaceDesired());
    await goes(virtualNetwork({ azure }), networkDesired());
    await goes(networkSecurityGroup({ azure }), desired.security);
    await goes(publicIpAddress({ azure }), desired.address);
    await goes(roleAssignment({ azure }), grantFor(found.identity.principalId, "Key Vault Secrets User"));
    await goes(vmIdentity({ azure }), desired.identity);
    await goes(vault({ azure }), desired.vault);
  });

  test("a removed vault comes back with its secrets", async () => {
    await ensure(vault({ azure }), desired.vault);
    expect(await vaults.first(found.vaultUrl, "loop-guid", tenantId)).toBeDefined();
    await goes(vault({ azure }), desired.vault);
  });

  test("the group goes last", async () => {
    await goes(resourceGroup({ azure }), desired.group);
  });
});

test("every body that was sent fits Microsoft's own types", async ({ skip }) => {
  const schemas = armSchemas() ?? skip("the specifications are absent");
  const sent = (await clouds.requests("arm")).filter(({ method, requestBody }) => method === "PUT" && requestBody !== undefined);
  const checked = sent.map(({ url, requestBody }) => {
    const { pathname, searchParams } = new URL(url);
    const { type } = addressed(pathname);
    return { type, findings: schemas.check(type, searchParams.get("api-version") ?? "", requestBody, "request") };
  });
  expect(checked.filter(({ findings }) => (findings ?? []).length > 0)).toEqual([]);
  expect(new Set(checked.filter(({ findings }) => findings !== undefined).map(({ type }) => type))).toEqual(
    new Set([
      "microsoft.resources/resourcegroups",
      "microsoft.keyvault/vaults",
      "microsoft.network/publicipaddresses",
      "microsoft.network/networksecuritygroups",
      "microsoft.network/virtualnetworks",
      "microsoft.network/networkinterfaces",
      "microsoft.compute/virtualmachines",
      "microsoft.compute/virtualmachines/runcommands",
    ]),
  );
});

describe("without access", () => {
  test("a subscription that we may not see is unknown, never absent, and nothing is written", async () => {
    const stranger = {
      ...place,
      entraTenantId: "fab00000-0000-4000-8000-000000000002",
      subscriptionId: "fab00000-0000-4000-8000-0000000000b2",
    };
    await clouds.organize({
      tenantId: stranger.entraTenantId,
      domains: ["fabrikam.example"],
      subscriptionId: stranger.subscriptionId,
      azureAccess: false,
    });
    expect(await resourceGroup({ azure }).observe(stranger)).toMatchObject({ state: "unknown", accessMissing: true });
    expect(await createAzureAccess({ azure, credentials })(stranger)).toMatchObject({
      granted: false,
      missing: ["service principal"],
      principalId: undefined,
    });
    await expect(resourceGroup({ azure }).create(stranger)).rejects.toMatchObject({
      code: "AzureAccessMissing",
      transient: false,
    });
  });

  test("an operation's URL elsewhere gets no request and no token", async () => {
    const operation = {
      entraTenantId: tenantId,
      operationUrl: "https://attacker.example/subscriptions/s/operations/1?api-version=2026-01-01",
    };
    await expect(azure.pollOperation(operation)).rejects.toMatchObject({ code: "OperationUrlForeign" });
  });
});

const anyDocument = () =>
  gatewayDocument({
    generation: 1,
    fqdn: "gateway.contoso.example",
    smartHost: "contoso-example.mail.protection.outlook.com",
    domains: ["contoso.example"],
    loopHeader: "X-iqsuite-process",
    loopGuid: { vaultUrl: "https://contoso.vault.azure.net", name: "loop-guid", version: "1" },
    services,
  });
