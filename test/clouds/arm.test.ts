/** The simulated ARM under Microsoft's own SDKs: long-running operations, references, immutability, access, and the machine inside. */
import { gzipSync } from "node:zlib";
import { AuthorizationManagementClient } from "@azure/arm-authorization";
import { ComputeManagementClient, type VirtualMachine } from "@azure/arm-compute";
import { KeyVaultManagementClient } from "@azure/arm-keyvault";
import { ManagedServiceIdentityClient } from "@azure/arm-msi";
import { NetworkManagementClient } from "@azure/arm-network";
import { ResourceManagementClient } from "@azure/arm-resources";
import { SecretClient } from "@azure/keyvault-secrets";
import { expect, test } from "vitest";
import { createCredentials } from "../../shared/entra/credentials.ts";
import { engineScript } from "../../shared/guest/engine.ts";
import { armSchemas } from "../support/arm-schemas.ts";
import { startClouds } from "../support/clouds.ts";
import { createTestArm, ours, type TestArm } from "../support/arm-platform.ts";

const location = "westeurope";
const group = "gateway";
const { subscriptionId } = ours;
const idOf = (type: string, name: string): string =>
  `/subscriptions/${subscriptionId}/resourceGroups/${group}/providers/${type}/${name}`;

const clientsOf = (arm: TestArm) => {
  const credential = arm.credential();
  const options = arm.clientOptions();
  return {
    network: new NetworkManagementClient(credential, subscriptionId, options),
    compute: new ComputeManagementClient(credential, subscriptionId, options),
    resources: new ResourceManagementClient(credential, subscriptionId, options),
    identities: new ManagedServiceIdentityClient(credential, subscriptionId, options),
    vaults: new KeyVaultManagementClient(credential, subscriptionId, options),
    authorization: new AuthorizationManagementClient(credential, subscriptionId, options),
  };
};

const wait = { updateIntervalInMs: 1 };
const smtpIn = {
  name: "SMTP",
  priority: 100,
  direction: "Inbound",
  access: "Allow",
  protocol: "Tcp",
  sourceAddressPrefix: "*",
  sourcePortRange: "*",
  destinationAddressPrefix: "*",
  destinationPortRange: "25",
};

/** Everything below the machine: group, security group, network, public address, interface. */
async function buildNetwork(arm: TestArm): Promise<ReturnType<typeof clientsOf>> {
  const clients = clientsOf(arm);
  await buildNetworkWith(clients);
  return clients;
}

async function buildNetworkWith({
  network,
  resources,
}: Pick<ReturnType<typeof clientsOf>, "network" | "resources">): Promise<void> {
  await resources.resourceGroups.createOrUpdate(group, { location, tags: { "gatehouse-tenant": "contoso" } });
  await network.networkSecurityGroups.beginCreateOrUpdateAndWait(group, "rules", { location, securityRules: [smtpIn] }, wait);
  const networkSecurityGroup = { id: idOf("Microsoft.Network/networkSecurityGroups", "rules") };
  await network.virtualNetworks.beginCreateOrUpdateAndWait(
    group,
    "net",
    {
      location,
      addressSpace: { addressPrefixes: ["10.0.0.0/24"] },
      subnets: [{ name: "smtp", addressPrefix: "10.0.0.0/26", networkSecurityGroup, defaultOutboundAccess: false }],
    },
    wait,
  );
  await network.publicIPAddresses.beginCreateOrUpdateAndWait(
    group,
    "address",
    {
      location,
      sku: { name: "Standard" },
      publicIPAllocationMethod: "Static",
      dnsSettings: { domainNameLabel: "contoso-gateway" },
    },
    wait,
  );
  await network.networkInterfaces.beginCreateOrUpdateAndWait(
    group,
    "nic",
    {
      location,
      networkSecurityGroup,
      ipConfigurations: [
        {
          name: "primary",
          subnet: { id: `${idOf("Microsoft.Network/virtualNetworks", "net")}/subnets/smtp` },
          publicIPAddress: { id: idOf("Microsoft.Network/publicIPAddresses", "address") },
        },
      ],
    },
    wait,
  );
}

const machine = (more: Partial<VirtualMachine> = {}): VirtualMachine => ({
  location,
  hardwareProfile: { vmSize: "Standard_D4as_v5" },
  osProfile: {
    computerName: "SMTP01",
    adminUsername: "gatewayadmin",
    adminPassword: "correct-Horse-7",
    windowsConfiguration: { provisionVMAgent: true },
  },
  storageProfile: {
    imageReference: {
      publisher: "MicrosoftWindowsServer",
      offer: "WindowsServer",
      sku: "2022-datacenter-azure-edition",
      version: "latest",
    },
    osDisk: { createOption: "FromImage", managedDisk: { storageAccountType: "Premium_LRS" }, deleteOption: "Delete" },
  },
  networkProfile: {
    networkInterfaces: [{ id: idOf("Microsoft.Network/networkInterfaces", "nic"), primary: true, deleteOption: "Detach" }],
  },
  securityProfile: { securityType: "TrustedLaunch", uefiSettings: { secureBootEnabled: true, vTpmEnabled: true } },
  ...more,
});

async function buildMachine(arm: TestArm): Promise<ReturnType<typeof clientsOf> & { identityClientId: string }> {
  const clients = await buildNetwork(arm);
  const identity = await clients.identities.userAssignedIdentities.createOrUpdate(group, "gateway-identity", { location });
  await clients.compute.virtualMachines.beginCreateOrUpdateAndWait(
    group,
    "smtp01",
    machine({ identity: { type: "UserAssigned", userAssignedIdentities: { [String(identity.id)]: {} } } }),
    wait,
  );
  return { ...clients, identityClientId: String(identity.clientId) };
}

const secretUrl = "https://contoso-kv.vault.azure.net/secrets/loop/00000000000000000000000000000001";

const guestDocument = (more: Record<string, unknown> = {}): string =>
  gzipSync(
    JSON.stringify({
      schema: 2,
      generation: 1,
      features: ["SMTP-Server"],
      smtp: {
        fqdn: "contoso-gateway.westeurope.cloudapp.azure.com",
        smartHost: "contoso-example.mail.protection.outlook.com",
        inboundTls: true,
        outboundTls: true,
        relayFor: ["contoso.example"],
      },
      registry: [
        {
          path: "HKLM\\SOFTWARE\\GBS\\iQ.Suite\\Inject",
          name: "AdditionalInjectHeaders",
          type: "String",
          secret: { vaultUrl: "https://contoso-kv.vault.azure.net", name: "loop", version: "00000000000000000000000000000001" },
          prefix: "X-iqsuite-process:",
        },
      ],
      firewall: [{ name: "Gatehouse SMTP", port: 25, protocol: "TCP" }],
      services: [{ name: "SMTPSVC", startType: "Automatic", state: "Running" }],
      ...more,
    }),
  ).toString("base64url");

interface EngineResult {
  inDesiredState: boolean;
  differences: string[];
  changed: string[];
  error?: { code: string; message: string };
}

/** Runs the engine as one managed run command and reads what it printed. */
async function runEngine(
  { compute, identityClientId }: { compute: ComputeManagementClient; identityClientId: string },
  name: string,
  { mode, document = guestDocument() }: { mode: "test" | "set"; document?: string },
): Promise<EngineResult & { exitCode: number | undefined }> {
  await compute.virtualMachineRunCommands.beginCreateOrUpdateAndWait(
    group,
    "smtp01",
    name,
    {
      location,
      source: { script: engineScript },
      parameters: [
        { name: "Document", value: document },
        { name: "Mode", value: mode },
        { name: "IdentityClientId", value: identityClientId },
      ],
    },
    wait,
  );
  const { instanceView } = await compute.virtualMachineRunCommands.getByVirtualMachine(group, "smtp01", name, {
    expand: "instanceView",
  });
  const result: EngineResult = JSON.parse(instanceView?.output ?? "");
  return { ...result, exitCode: instanceView?.exitCode };
}

async function everyOne<T>(pages: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const one of pages) found.push(one);
  return found;
}

const refusal = (work: Promise<unknown>): Promise<{ status: unknown; code: unknown }> =>
  work.then(
    () => ({ status: "accepted", code: undefined }),
    (error: unknown) => {
      const { statusCode, code } = error as { statusCode?: unknown; code?: unknown };
      return { status: statusCode, code };
    },
  );

test("a gateway is built by the genuine SDKs, and every body on the wire fits Microsoft's types", async () => {
  const arm = createTestArm({ secrets: { [secretUrl]: "the-loop-guid" } });
  const clients = await buildMachine(arm);
  const { network, compute } = clients;
  const { instanceView, provisioningState } = await compute.virtualMachines.get(group, "smtp01", { expand: "instanceView" });
  const address = await network.publicIPAddresses.get(group, "address");
  const nic = await network.networkInterfaces.get(group, "nic");
  expect({
    provisioningState,
    power: instanceView?.statuses?.map(({ code }) => code),
    agent: instanceView?.vmAgent?.statuses?.[0]?.displayStatus,
    address: address.ipAddress,
    fqdn: address.dnsSettings?.fqdn,
    attached: [address.ipConfiguration?.id, nic.virtualMachine?.id],
    private: nic.ipConfigurations?.[0]?.privateIPAddress,
  }).toEqual({
    provisioningState: "Succeeded",
    power: ["ProvisioningState/succeeded", "PowerState/running"],
    agent: "Ready",
    address: "203.0.113.10",
    fqdn: "contoso-gateway.westeurope.cloudapp.azure.com",
    attached: [
      `${idOf("Microsoft.Network/networkInterfaces", "nic")}/ipConfigurations/primary`,
      idOf("Microsoft.Compute/virtualMachines", "smtp01"),
    ],
    private: "10.0.0.4",
  });
  await runEngine(clients, "configure", { mode: "set" });
  if (armSchemas() !== undefined) expect(arm.schemaFindings()).toEqual([]);
});

test.skipIf(armSchemas() === undefined)("Microsoft's types find what is wrong with a body", () => {
  const body = {
    location,
    properties: { hardwareProfile: { vmSize: 4 }, osProfile: { adminPasword: "typo" }, provisioningState: "Succeeded" },
  };
  expect(armSchemas()?.check("Microsoft.Compute/virtualMachines", "2026-04-01", body, "request")?.toSorted()).toEqual([
    "/properties/hardwareProfile/vmSize: no member of the union is 4",
    "/properties/osProfile/adminPasword: unknown property",
    "/properties/provisioningState: read-only in a request",
  ]);
});

test("a machine takes thirty modelled seconds, and its operation outlives a restart of the process", async () => {
  const arm = createTestArm();
  await buildNetwork(arm);
  const { properties, ...rest } = wireMachine();
  const path = `${idOf("Microsoft.Compute/virtualMachines", "smtp01")}?api-version=2026-04-01`;
  const begun = await arm.request("PUT", path, { body: { ...rest, properties } });
  const operation = new URL(begun.headers?.["azure-asyncoperation"] ?? "");
  arm.advance(29);
  const before = await arm.request("GET", operation.pathname + operation.search);
  arm.advance(1);
  const later = arm.restarted();
  const after = await later.request("GET", operation.pathname + operation.search);
  const again = await later.request("GET", operation.pathname + operation.search);
  const built = await later.request("GET", path);
  expect({
    begun: [begun.status, (begun.body as Wire).properties["provisioningState"], begun.headers?.["retry-after"]],
    statuses: [before, after, again].map(({ body }) => (body as { status: string }).status),
    built: (built.body as Wire).properties["provisioningState"],
    secretShown: JSON.stringify([begun, built, later.arm.state()]).includes("correct-Horse-7"),
  }).toEqual({
    begun: [201, "Creating", "10"],
    statuses: ["InProgress", "Succeeded", "Succeeded"],
    built: "Succeeded",
    secretShown: false,
  });
});

interface Wire {
  properties: Record<string, unknown>;
}

/** The machine as it goes over the wire. */
const wireMachine = (): Wire & { location: string } => ({
  location,
  properties: {
    hardwareProfile: { vmSize: "Standard_D4as_v5" },
    osProfile: { computerName: "SMTP01", adminUsername: "gatewayadmin", adminPassword: "correct-Horse-7" },
    storageProfile: {
      imageReference: {
        publisher: "MicrosoftWindowsServer",
        offer: "WindowsServer",
        sku: "2022-datacenter-azure-edition",
        version: "latest",
      },
      osDisk: { createOption: "FromImage", deleteOption: "Delete" },
    },
    networkProfile: { networkInterfaces: [{ id: idOf("Microsoft.Network/networkInterfaces", "nic") }] },
  },
});

test("what is missing, in use, taken or malformed is refused as Azure refuses it", async () => {
  const arm = createTestArm();
  const { network, compute } = await buildMachine(arm);
  const address = (more: object) =>
    network.publicIPAddresses.beginCreateOrUpdateAndWait(
      group,
      "other",
      { location, sku: { name: "Standard" }, publicIPAllocationMethod: "Static", ...more },
      wait,
    );
  const build = (more: Partial<VirtualMachine>) =>
    compute.virtualMachines.beginCreateOrUpdateAndWait(group, "smtp02", machine(more), wait);
  const image = { publisher: "MicrosoftWindowsServer", offer: "WindowsServer", sku: "2019-datacenter", version: "latest" };
  expect({
    group: await refusal(network.networkSecurityGroups.beginCreateOrUpdateAndWait("nowhere", "rules", { location }, wait)),
    reference: await refusal(
      network.networkInterfaces.beginCreateOrUpdateAndWait(
        group,
        "other",
        {
          location,
          ipConfigurations: [{ name: "a", subnet: { id: `${idOf("Microsoft.Network/virtualNetworks", "net")}/subnets/none` } }],
        },
        wait,
      ),
    ),
    duplicateRule: await refusal(
      network.networkSecurityGroups.beginCreateOrUpdateAndWait(
        group,
        "other",
        { location, securityRules: [smtpIn, { ...smtpIn, name: "Again" }] },
        wait,
      ),
    ),
    dynamic: await refusal(address({ publicIPAllocationMethod: "Dynamic" })),
    label: await refusal(address({ dnsSettings: { domainNameLabel: "contoso-gateway" } })),
    reverse: await refusal(address({ dnsSettings: { domainNameLabel: "other", reverseFqdn: "mail.fabrikam.example." } })),
    nicInUse: await refusal(network.networkInterfaces.beginDeleteAndWait(group, "nic", wait)),
    addressInUse: await refusal(network.publicIPAddresses.beginDeleteAndWait(group, "address", wait)),
    networkInUse: await refusal(network.virtualNetworks.beginDeleteAndWait(group, "net", wait)),
    rulesInUse: await refusal(network.networkSecurityGroups.beginDeleteAndWait(group, "rules", wait)),
    image: await refusal(build({ storageProfile: { imageReference: image, osDisk: { createOption: "FromImage" } } })),
    size: await refusal(build({ hardwareProfile: { vmSize: "Standard_B4ls_v2" } })),
    generation: await refusal(build({ hardwareProfile: { vmSize: "Standard_A4_v2" } })),
    password: await refusal(
      build({ osProfile: { computerName: "SMTP02", adminUsername: "gatewayadmin", adminPassword: "simple" } }),
    ),
    takenNic: await refusal(build({})),
    absent: await refusal(compute.virtualMachines.get(group, "smtp09")),
  }).toEqual({
    group: { status: 404, code: "ResourceGroupNotFound" },
    reference: { status: 400, code: "InvalidResourceReference" },
    duplicateRule: { status: 400, code: "SecurityRuleConflict" },
    dynamic: { status: 400, code: "StandardSkuPublicIPAddressesCannotHaveDynamicAllocation" },
    label: { status: 400, code: "DnsRecordInUse" },
    reverse: { status: 400, code: "ReverseFqdnDoesNotBelongToSubscription" },
    nicInUse: { status: 400, code: "NicInUse" },
    addressInUse: { status: 400, code: "PublicIPAddressCannotBeDeleted" },
    networkInUse: { status: 400, code: "InUseSubnetCannotBeDeleted" },
    rulesInUse: { status: 400, code: "InUseNetworkSecurityGroupCannotBeDeleted" },
    image: { status: 404, code: "PlatformImageNotFound" },
    size: { status: 409, code: "SkuNotAvailable" },
    generation: { status: 400, code: "BadRequest" },
    password: { status: 400, code: "InvalidParameter" },
    takenNic: { status: 400, code: "NicInUse" },
    absent: { status: 404, code: "ResourceNotFound" },
  });
});

test("what a machine was born with stays; its size and tags may change", async () => {
  const arm = createTestArm();
  const { compute } = await buildMachine(arm);
  const put = (more: Partial<VirtualMachine>) =>
    compute.virtualMachines.beginCreateOrUpdateAndWait(group, "smtp01", machine(more), wait);
  const osProfile = { computerName: "SMTP01", adminUsername: "gatewayadmin" };
  expect({
    computerName: await refusal(put({ osProfile: { ...osProfile, computerName: "SMTP02" } })),
    adminUsername: await refusal(put({ osProfile: { ...osProfile, adminUsername: "somebody" } })),
    adminPassword: await refusal(put({ osProfile: { ...osProfile, adminPassword: "another-Horse-8" } })),
    samePassword: await refusal(put({})),
    size: (await put({ hardwareProfile: { vmSize: "Standard_D8as_v5" }, tags: { role: "gateway" } })).hardwareProfile?.vmSize,
    createOnly: await refusal(
      compute.virtualMachines.beginCreateOrUpdateAndWait(group, "smtp01", machine(), { ...wait, ifNoneMatch: "*" }),
    ),
  }).toEqual({
    computerName: { status: 409, code: "PropertyChangeNotAllowed" },
    adminUsername: { status: 409, code: "PropertyChangeNotAllowed" },
    adminPassword: { status: 409, code: "PropertyChangeNotAllowed" },
    samePassword: { status: "accepted", code: undefined },
    size: "Standard_D8as_v5",
    createOnly: { status: 412, code: "PreconditionFailed" },
  });
});

test("a second write waits for the first: 429 with Retry-After from Network, 409 from Compute", async () => {
  const arm = createTestArm();
  await buildNetwork(arm);
  const rules = `${idOf("Microsoft.Network/networkSecurityGroups", "rules")}?api-version=2026-01-01`;
  const vm = `${idOf("Microsoft.Compute/virtualMachines", "smtp01")}?api-version=2026-04-01`;
  const securityRules = { location, properties: { securityRules: [] } };
  const first = await arm.request("PUT", rules, { body: securityRules });
  const second = await arm.request("PUT", rules, { body: securityRules });
  const referring = await arm.request("PUT", `${idOf("Microsoft.Network/networkInterfaces", "other")}?api-version=2026-01-01`, {
    body: {
      location,
      properties: {
        networkSecurityGroup: { id: idOf("Microsoft.Network/networkSecurityGroups", "rules") },
        ipConfigurations: [
          { name: "a", properties: { subnet: { id: `${idOf("Microsoft.Network/virtualNetworks", "net")}/subnets/smtp` } } },
        ],
      },
    },
  });
  await arm.request("PUT", vm, { body: wireMachine() });
  const conflict = await arm.request("PUT", vm, { body: wireMachine() });
  const code = ({ body }: { body?: unknown }) => (body as { error: { code: string } }).error.code;
  expect([
    first.status,
    second.status,
    second.headers?.["retry-after"],
    code(second),
    code(referring),
    conflict.status,
    code(conflict),
  ]).toEqual([200, 429, "1", "RetryableErrorDueToAnotherOperation", "ReferencedResourceNotProvisioned", 409, "Conflict"]);
});

test("no capacity: the operation fails later, and the interface stays reserved for that machine for three minutes", async () => {
  const arm = createTestArm();
  const { network, compute, resources } = clientsOf(arm);
  const west = "westus2";
  await resources.resourceGroups.createOrUpdate(group, { location: west });
  await network.virtualNetworks.beginCreateOrUpdateAndWait(
    group,
    "net",
    {
      location: west,
      addressSpace: { addressPrefixes: ["10.0.0.0/24"] },
      subnets: [{ name: "smtp", addressPrefix: "10.0.0.0/26" }],
    },
    wait,
  );
  const subnet = { id: `${idOf("Microsoft.Network/virtualNetworks", "net")}/subnets/smtp` };
  await network.networkInterfaces.beginCreateOrUpdateAndWait(
    group,
    "nic",
    { location: west, ipConfigurations: [{ name: "primary", subnet }] },
    wait,
  );
  const failed = await compute.virtualMachines
    .beginCreateOrUpdateAndWait(
      group,
      "smtp01",
      machine({ location: west, hardwareProfile: { vmSize: "Standard_B4as_v2" } }),
      wait,
    )
    .then(() => "built")
    .catch((error: unknown) => String(error));
  const state = (await compute.virtualMachines.get(group, "smtp01")).provisioningState;
  await compute.virtualMachines.beginDeleteAndWait(group, "smtp01", wait);
  const reserved = await refusal(network.networkInterfaces.beginDeleteAndWait(group, "nic", wait));
  arm.advance(180);
  const free = await refusal(network.networkInterfaces.beginDeleteAndWait(group, "nic", wait));
  expect({ failed: failed.includes("AllocationFailed"), state, reserved, free: free.status }).toEqual({
    failed: true,
    state: "Failed",
    reserved: { status: 400, code: "NicReservedForAnotherVm" },
    free: "accepted",
  });
});

test("only roles open doors, and a token of another tenant opens none", async () => {
  const arm = createTestArm();
  const stranger = "c0ffee00-0000-4000-8000-00000000dead";
  const groupPath = `/subscriptions/${subscriptionId}/resourceGroups/${group}`;
  const path = `${groupPath}?api-version=2025-04-01`;
  const put = { body: { location } };
  const codeOf = ({ status, body }: { status: number; body?: unknown }) => [
    status,
    (body as { error?: { code: string } } | undefined)?.error?.code,
  ];
  const assignment = (name: string, role: string, claims?: { oid: string }) =>
    arm.request("PUT", `${groupPath}/providers/Microsoft.Authorization/roleAssignments/${name}?api-version=2022-04-01`, {
      body: {
        properties: {
          roleDefinitionId: `/subscriptions/${subscriptionId}/providers/Microsoft.Authorization/roleDefinitions/${role}`,
          principalId: stranger,
          principalType: "ServicePrincipal",
        },
      },
      ...(claims === undefined ? {} : { claims }),
    });
  const reader = "acdd72a7-3385-48ef-bd42-f606fba81ae7";
  expect(codeOf(await arm.request("PUT", path, { ...put, claims: null }))).toEqual([401, "AuthenticationFailed"]);
  expect(codeOf(await arm.request("PUT", path, { ...put, claims: { tid: "fab00000-0000-4000-8000-000000000002" } }))).toEqual([
    401,
    "InvalidAuthenticationTokenTenant",
  ]);
  expect(codeOf(await arm.request("PUT", path, { ...put, claims: { oid: stranger } }))).toEqual([403, "AuthorizationFailed"]);
  expect((await arm.request("PUT", path, put)).status).toBe(201);
  expect((await assignment("11111111-0000-4000-8000-000000000001", reader)).status).toBe(201);
  expect(codeOf(await arm.request("GET", path, { claims: { oid: stranger } }))).toEqual([403, "AuthorizationFailed"]);
  arm.advance(5);
  expect((await arm.request("GET", path, { claims: { oid: stranger } })).status).toBe(200);
  expect(codeOf(await arm.request("PUT", path, { ...put, claims: { oid: stranger } }))).toEqual([403, "AuthorizationFailed"]);
  expect(codeOf(await assignment("11111111-0000-4000-8000-000000000002", reader, { oid: stranger }))).toEqual([
    403,
    "AuthorizationFailed",
  ]);
  expect(codeOf(await assignment("11111111-0000-4000-8000-000000000003", reader))).toEqual([409, "RoleAssignmentExists"]);
  expect(codeOf(await arm.request("GET", path.replace(subscriptionId, "c0ffee00-0000-4000-8000-0000000000a9")))).toEqual([
    404,
    "SubscriptionNotFound",
  ]);
  expect(codeOf(await arm.request("GET", groupPath))).toEqual([400, "MissingApiVersionParameter"]);
  expect(codeOf(await arm.request("GET", `${groupPath}?api-version=2019-13-01`))).toEqual([400, "InvalidApiVersionParameter"]);
});

test("a subscription without Azure access for us refuses us", async () => {
  const arm = createTestArm({ organization: { azureAccess: false } });
  const { resources } = clientsOf(arm);
  const refused = await refusal(resources.resourceGroups.createOrUpdate(group, { location }));
  const organization = arm.platform.organizations.get(ours.tenantId);
  if (organization !== undefined) arm.platform.organizations.set(ours.tenantId, { ...organization, azureAccess: true });
  expect([refused, (await resources.resourceGroups.createOrUpdate(group, { location })).location]).toEqual([
    { status: 403, code: "AuthorizationFailed" },
    location,
  ]);
});

test("role assignments are found by principal and by scope, and role definitions by name", async () => {
  const arm = createTestArm();
  const { resources, identities, vaults, authorization } = clientsOf(arm);
  await resources.resourceGroups.createOrUpdate(group, { location });
  const vault = await vaults.vaults.createOrUpdate(group, "contoso-kv", {
    location,
    properties: { tenantId: ours.tenantId, sku: { family: "A", name: "standard" }, enableRbacAuthorization: true },
  });
  const identity = await identities.userAssignedIdentities.createOrUpdate(group, "gateway-identity", { location });
  const principalId = String(identity.principalId);
  const scope = String(vault.id);
  const definitions = authorization.roleDefinitions.list(scope, { filter: "roleName eq 'Key Vault Secrets User'" });
  const [definition] = await everyOne(definitions);
  const assign = (principalType?: "ServicePrincipal") =>
    authorization.roleAssignments.create(scope, "22222222-0000-4000-8000-000000000001", {
      roleDefinitionId: String(definition?.id),
      principalId,
      ...(principalType === undefined ? {} : { principalType }),
    });
  const tooEarly = await refusal(assign());
  await assign("ServicePrincipal");
  const at = await everyOne(authorization.roleAssignments.listForScope(scope, { filter: `principalId eq '${principalId}'` }));
  const above = await everyOne(
    authorization.roleAssignments.listForResourceGroup(group, { filter: `atScope() and principalId eq '${principalId}'` }),
  );
  const { peers } = arm.platform;
  const held = () =>
    peers.holdsRole?.(principalId, "4633458b-17de-408a-b874-0445c86b69e6", `${scope.toLowerCase()}/secrets/loop`);
  const before = held();
  arm.advance(5);
  expect({
    tooEarly,
    at: at.length,
    above: above.length,
    held: [before, held()],
    vault: peers.vaultNamed?.("CONTOSO-KV"),
    url: vault.properties.vaultUri,
    identity: peers.identities?.().map(({ principalId: one, tenantId }) => [one, tenantId]),
  }).toEqual({
    tooEarly: { status: 400, code: "PrincipalNotFound" },
    at: 1,
    above: 0,
    held: [false, true],
    vault: { id: scope, tenantId: ours.tenantId, purgeProtection: false },
    url: "https://contoso-kv.vault.azure.net/",
    identity: [[principalId, ours.tenantId]],
  });
});

test("a deleted vault keeps its name until it is recovered or purged", async () => {
  const arm = createTestArm();
  const { resources, vaults } = clientsOf(arm);
  await resources.resourceGroups.createOrUpdate(group, { location });
  await resources.resourceGroups.createOrUpdate("elsewhere", { location });
  const create = (where: string, createMode?: "recover") =>
    vaults.vaults.createOrUpdate(where, "contoso-kv", {
      location,
      properties: {
        tenantId: ours.tenantId,
        sku: { family: "A", name: "standard" },
        ...(createMode === undefined ? {} : { createMode }),
      },
    });
  await create(group);
  const taken = await refusal(create("elsewhere"));
  await vaults.vaults.delete(group, "contoso-kv");
  const deleted = await refusal(create(group));
  await create(group, "recover");
  await vaults.vaults.delete(group, "contoso-kv");
  await vaults.vaults.purgeDeleted("contoso-kv", location, wait);
  expect({ taken, deleted, again: (await create("elsewhere")).name }).toEqual({
    taken: { status: 409, code: "VaultAlreadyExists" },
    deleted: { status: 409, code: "ConflictError" },
    again: "contoso-kv",
  });
});

test("the engine makes a fresh Windows a gateway, once", async () => {
  const arm = createTestArm({ secrets: { [secretUrl]: "the-loop-guid" } });
  const clients = await buildMachine(arm);
  const seen = () => arm.platform.peers.gatewayAt?.("203.0.113.10", 25, "198.51.100.7");
  const closed = seen();
  const tested = await runEngine(clients, "look", { mode: "test" });
  const set = await runEngine(clients, "make", { mode: "set" });
  const again = await runEngine(clients, "make-again", { mode: "set" });
  const gateway = seen();
  const effects = arm.exchanges
    .filter(({ method, path }) => method === "PUT" && path.includes("/runCommands/"))
    .map(({ response }) => response.effect);
  expect({
    closed,
    tested: [tested.inDesiredState, tested.differences.length > 4, tested.changed],
    set: [set.inDesiredState, set.differences, set.changed.includes("smtp")],
    again: [again.inDesiredState, again.changed],
    effects,
    smtp: gateway?.smtp,
    header: gateway?.registry["hklm\\software\\gbs\\iq.suite\\inject"]?.["AdditionalInjectHeaders"]?.data,
    secretShown: JSON.stringify(arm.arm.state()).includes("the-loop-guid"),
    rdp: arm.platform.peers.gatewayAt?.("203.0.113.10", 3389, "198.51.100.7"),
  }).toEqual({
    closed: undefined,
    tested: [false, true, []],
    set: [true, [], true],
    again: [true, []],
    effects: ["none", "write", "none"],
    smtp: {
      running: true,
      fqdn: "contoso-gateway.westeurope.cloudapp.azure.com",
      smartHost: "contoso-example.mail.protection.outlook.com",
      inboundTls: true,
      outboundTls: true,
      relayFor: ["contoso.example"],
      relayFrom: ["127.0.0.1"],
    },
    header: "X-iqsuite-process:the-loop-guid",
    secretShown: false,
    rdp: undefined,
  });
});

test("a late older document is refused, and a secret that can't be read is told without its value", async () => {
  const arm = createTestArm({ secrets: { [secretUrl]: "the-loop-guid" } });
  const clients = await buildMachine(arm);
  await runEngine(clients, "two", { mode: "set", document: guestDocument({ generation: 2 }) });
  const late = await runEngine(clients, "one", { mode: "set", document: guestDocument({ generation: 1 }) });
  const elsewhere = createTestArm({ tempo: 0 });
  const unread = await runEngine(await buildMachine(elsewhere), "make", { mode: "set" });
  expect([late.exitCode, late.error?.code, unread.exitCode, unread.error?.code]).toEqual([
    2,
    "GenerationOutdated",
    3,
    "SecretUnreadable",
  ]);
});

test("any other script, a mangled argument or one that is too long fails on the machine, and treated so the deployment fails", async () => {
  const arm = createTestArm();
  const { compute, identityClientId } = await buildMachine(arm);
  const run = async (name: string, script: string, value: string, treatFailureAsDeploymentFailure = false) => {
    await compute.virtualMachineRunCommands.beginCreateOrUpdateAndWait(
      group,
      "smtp01",
      name,
      {
        location,
        source: { script },
        parameters: [
          { name: "Document", value },
          { name: "Mode", value: "test" },
        ],
        protectedParameters: [{ name: "IdentityClientId", value: identityClientId }],
        treatFailureAsDeploymentFailure,
      },
      wait,
    );
    const { instanceView, protectedParameters } = await compute.virtualMachineRunCommands.getByVirtualMachine(
      group,
      "smtp01",
      name,
      {
        expand: "instanceView",
      },
    );
    return [instanceView?.executionState, instanceView?.exitCode, protectedParameters];
  };
  expect(await run("foreign", "Write-Output hello", guestDocument())).toEqual(["Failed", 1, undefined]);
  expect(await run("mangled", engineScript, "a & b")).toEqual(["Failed", 1, undefined]);
  expect(await run("long", engineScript, "A".repeat(7000))).toEqual(["Failed", 1, undefined]);
  await expect(run("fatal", "Write-Output hello", guestDocument(), true)).rejects.toThrow("VMExtensionProvisioningError");
});

test("deleting the group takes all of it, and only what Azure keeps is left", async () => {
  const arm = createTestArm();
  const { resources } = await buildMachine(arm);
  const before = await everyOne(resources.resources.listByResourceGroup(group));
  await resources.resourceGroups.beginDeleteAndWait(group, wait);
  const gone = await refusal(resources.resourceGroups.get(group));
  const left = await everyOne(resources.resources.list());
  expect({ before: new Set(before.map(({ type }) => type?.split("/")[1])), gone, left }).toEqual({
    before: new Set([
      "disks",
      "networkInterfaces",
      "networkSecurityGroups",
      "publicIPAddresses",
      "userAssignedIdentities",
      "virtualMachines",
      "virtualNetworks",
    ]),
    gone: { status: 404, code: "ResourceGroupNotFound" },
    left: [],
  });
});

test("addresses are never given twice, and lists come in pages", async () => {
  const arm = createTestArm({ tempo: 0 });
  const { network, resources, compute } = clientsOf(arm);
  await resources.resourceGroups.createOrUpdate(group, { location });
  const create = async (name: string) =>
    (
      await network.publicIPAddresses.beginCreateOrUpdateAndWait(
        group,
        name,
        { location, sku: { name: "Standard" }, publicIPAllocationMethod: "Static" },
        wait,
      )
    ).ipAddress;
  const drawn = [await create("a"), await create("b")];
  await network.publicIPAddresses.beginDeleteAndWait(group, "a", wait);
  drawn.push(await create("a"));
  const page = await arm.request("GET", `/subscriptions/${subscriptionId}/resources?api-version=2025-04-01&$top=1`);
  const { value, nextLink } = page.body as { value: unknown[]; nextLink: string };
  const next = await arm.request("GET", nextLink.replace("https://management.azure.com", ""));
  const sizes = await everyOne(compute.resourceSkus.list({ filter: "location eq 'westeurope'" }));
  const restricted = sizes.filter(({ restrictions }) => (restrictions ?? []).length > 0).map(({ name }) => name);
  const available = await network.checkDnsNameAvailability(location, "contoso-gateway");
  expect({
    drawn,
    pages: [value.length, (next.body as { value: unknown[]; nextLink?: string }).value.length],
    restricted,
    available: available.available,
  }).toEqual({
    drawn: ["203.0.113.10", "203.0.113.11", "203.0.113.12"],
    pages: [1, 1],
    restricted: ["Standard_B4ls_v2"],
    available: true,
  });
});

test("the two hundred and first write of a moment is asked to come back later", async () => {
  const arm = createTestArm();
  const statuses = new Map<number, number>();
  for (let count = 0; count < 201; count += 1) {
    const { status } = await arm.request(
      "PUT",
      `/subscriptions/${subscriptionId}/resourceGroups/g${count % 3}?api-version=2025-04-01`,
      {
        body: { location },
      },
    );
    statuses.set(status, (statuses.get(status) ?? 0) + 1);
  }
  arm.advance(1);
  const later = await arm.request("PUT", `/subscriptions/${subscriptionId}/resourceGroups/g0?api-version=2025-04-01`, {
    body: { location },
  });
  expect([statuses.get(201), statuses.get(200), statuses.get(429), later.status]).toEqual([3, 197, 1, 200]);
});

test("a subnet and a rule are shown, added and removed through their owner", async () => {
  const arm = createTestArm();
  const { network } = await buildNetwork(arm);
  await network.subnets.beginCreateOrUpdateAndWait(
    group,
    "net",
    "spare",
    { addressPrefix: "10.0.0.64/26", defaultOutboundAccess: false },
    wait,
  );
  await network.securityRules.beginCreateOrUpdateAndWait(
    group,
    "rules",
    "HTTPS",
    { ...smtpIn, priority: 110, destinationPortRange: "443" },
    wait,
  );
  const overlapping = await refusal(
    network.subnets.beginCreateOrUpdateAndWait(group, "net", "more", { addressPrefix: "10.0.0.32/27" }, wait),
  );
  const inUse = await refusal(network.subnets.beginDeleteAndWait(group, "net", "smtp", wait));
  const subnets = await everyOne(network.subnets.list(group, "net"));
  await network.subnets.beginDeleteAndWait(group, "net", "spare", wait);
  await network.securityRules.beginDeleteAndWait(group, "rules", "HTTPS", wait);
  const { subnets: left } = await network.virtualNetworks.get(group, "net");
  const { securityRules, networkInterfaces } = await network.networkSecurityGroups.get(group, "rules");
  expect({
    overlapping: overlapping.code,
    inUse: inUse.code,
    subnets: subnets.map(({ name }) => name),
    left: left?.map(({ name }) => name),
    rules: securityRules?.map(({ name }) => name),
    users: networkInterfaces?.map(({ id }) => id),
  }).toEqual({
    overlapping: "NetcfgSubnetRangesOverlap",
    inUse: "InUseSubnetCannotBeDeleted",
    subnets: ["smtp", "spare"],
    left: ["smtp"],
    rules: ["SMTP"],
    users: [idOf("Microsoft.Network/networkInterfaces", "nic")],
  });
});

test("a stopped machine runs no command and answers nobody until it is started", async () => {
  const arm = createTestArm({ secrets: { [secretUrl]: "the-loop-guid" } });
  const clients = await buildMachine(arm);
  await runEngine(clients, "make", { mode: "set" });
  const answers = () => arm.platform.peers.gatewayAt?.("203.0.113.10", 25, "198.51.100.7") !== undefined;
  const before = answers();
  await clients.compute.virtualMachines.beginDeallocateAndWait(group, "smtp01", wait);
  const stopped = [answers(), (await refusal(runEngine(clients, "look", { mode: "test" }))).code];
  await clients.compute.virtualMachines.beginStartAndWait(group, "smtp01", wait);
  expect({ before, stopped, after: answers() }).toEqual({ before: true, stopped: [false, "OperationNotAllowed"], after: true });
});

test("over HTTPS with the application's own credential, the machine pulls its secret from the vault with its own identity", async () => {
  const clouds = await startClouds();
  try {
    const { environment, application } = clouds;
    await clouds.organize({
      tenantId: ours.tenantId,
      domains: ["contoso.example"],
      mailboxes: ["gatehouse-probe@contoso.example"],
      subscriptionId,
      offer: "EnterpriseAgreement",
    });
    const credential = createCredentials(environment, application).inTenant(ours.tenantId);
    const { endpoint, audience } = environment.resourceManager;
    const options = { endpoint, credentials: { scopes: [`${audience}/.default`] }, credentialScopes: `${audience}/.default` };
    const clients = {
      network: new NetworkManagementClient(credential, subscriptionId, options),
      compute: new ComputeManagementClient(credential, subscriptionId, options),
      resources: new ResourceManagementClient(credential, subscriptionId, options),
      identities: new ManagedServiceIdentityClient(credential, subscriptionId, options),
      vaults: new KeyVaultManagementClient(credential, subscriptionId, options),
      authorization: new AuthorizationManagementClient(credential, subscriptionId, options),
    };
    await buildNetworkWith(clients);
    const vault = await clients.vaults.vaults.createOrUpdate(group, "contoso-kv", {
      location,
      properties: { tenantId: ours.tenantId, sku: { family: "A", name: "standard" } },
    });
    const identity = await clients.identities.userAssignedIdentities.createOrUpdate(group, "gateway-identity", { location });
    const ourselves = clouds.platform.peers.servicePrincipal?.(ours.tenantId, application.applicationId)?.objectId;
    const assign = (name: string, role: string, principalId: string | undefined) =>
      clients.authorization.roleAssignments.create(String(vault.id), name, {
        roleDefinitionId: `/subscriptions/${subscriptionId}/providers/Microsoft.Authorization/roleDefinitions/${role}`,
        principalId: String(principalId),
        principalType: "ServicePrincipal",
      });
    await assign("33333333-0000-4000-8000-000000000001", "b86a8fe4-44ce-4948-aee5-eccb2c155cd7", ourselves);
    await assign("33333333-0000-4000-8000-000000000002", "4633458b-17de-408a-b874-0445c86b69e6", identity.principalId);
    const vaultUrl = environment.vault.url.replace("{name}", "contoso-kv");
    const secrets = new SecretClient(vaultUrl, credential, { disableChallengeResourceVerification: true });
    const { properties } = await secrets.setSecret("loop", "the-loop-guid");
    await clients.compute.virtualMachines.beginCreateOrUpdateAndWait(
      group,
      "smtp01",
      machine({ identity: { type: "UserAssigned", userAssignedIdentities: { [String(identity.id)]: {} } } }),
      wait,
    );
    const secret = { vaultUrl, name: "loop", version: String(properties.version) };
    const value = { path: "HKLM\\SOFTWARE\\GBS", name: "Loop", type: "String", secret };
    const document = guestDocument({ registry: [value] });
    const result = await runEngine({ ...clients, identityClientId: String(identity.clientId) }, "make", {
      mode: "set",
      document,
    });
    const data = clouds.platform.peers.gatewayAt?.("203.0.113.10", 25, "198.51.100.7")?.registry["hklm\\software\\gbs"]?.["Loop"]
      ?.data;
    const record = JSON.stringify(await clouds.requests());
    expect({
      state: [result.inDesiredState, result.differences, result.error],
      data,
      recorded: ["the-loop-guid", "correct-Horse-7"].filter((word) => record.includes(word)),
    }).toEqual({ state: [true, [], undefined], data: "the-loop-guid", recorded: [] });
  } finally {
    await clouds.stop();
  }
});

test("tags are merged, replaced and taken away at their own door, and nothing but tags changes", async () => {
  const arm = createTestArm();
  const { network, resources } = await buildNetwork(arm);
  const scope = idOf("Microsoft.Network/publicIPAddresses", "address").slice(1);
  const tagged = async (operation: string, tags: Record<string, string>) =>
    (await resources.tagsOperations.updateAtScope(scope, { operation, properties: { tags } })).properties.tags;
  const before = await network.publicIPAddresses.get(group, "address");
  expect(await tagged("Merge", { owner: "contoso", cost: "1" })).toEqual({ owner: "contoso", cost: "1" });
  expect(await tagged("Merge", { Cost: "2" })).toEqual({ owner: "contoso", Cost: "2" });
  expect(await tagged("Delete", { owner: "contoso" })).toEqual({ Cost: "2" });
  expect(await tagged("Replace", { only: "this" })).toEqual({ only: "this" });
  const { etag: _etag, tags, ...after } = await network.publicIPAddresses.get(group, "address");
  const { etag: _before, tags: _none, ...unchanged } = before;
  expect({ after, tags }).toEqual({ after: unchanged, tags: { only: "this" } });

  const ofGroup = `subscriptions/${subscriptionId}/resourceGroups/${group}`;
  await resources.tagsOperations.updateAtScope(ofGroup, { operation: "Merge", properties: { tags: { owner: "contoso" } } });
  expect((await resources.resourceGroups.get(group)).tags).toEqual({ "gatehouse-tenant": "contoso", owner: "contoso" });
  const nowhere = resources.tagsOperations.updateAtScope(`${scope}-2`, { operation: "Merge", properties: { tags: {} } });
  await expect(nowhere).rejects.toMatchObject({ statusCode: 404 });
  expect(arm.schemaFindings()).toEqual([]);
});
