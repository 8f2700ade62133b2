/** What the conformance suite needs to know about a gateway's resources in Azure. */
import type { GuestState } from "../../infra/local/clouds/guest/state.ts";
import type { Collection } from "../../infra/local/clouds/simulator.ts";
import { ownershipTags, type Place } from "../../shared/azure/place.ts";
import type { DesiredOf } from "../../shared/durable/resources.ts";
import { gatewayDocument } from "../../shared/guest/gateway.ts";
import type { Resources } from "../../shared/resources/index.ts";
import { assignmentName, roleDefinitions } from "../../shared/resources/role-assignment.ts";
import { type Drift, type Foreign, somebodyElse, type Stranger } from "./conformance.ts";
import { type Json, loopHeader, names, owner, place, services, type World } from "./ground.ts";
import type { Kind, RowOf } from "./rows.ts";

export const groupPath = ({ subscriptionId, resourceGroup }: Place): string =>
  `/subscriptions/${subscriptionId}/resourceGroups/${resourceGroup}`;
export const inGroup =
  (type: string) =>
  (desired: Place & { name: string }): string =>
    `${groupPath(desired)}/providers/${type}/${desired.name}`;

type PathOf<Desired> = (desired: Desired) => string;

export const countedBy =
  (type: string) =>
  async ({ arm }: World, desired: Place & { name: string }): Promise<number> =>
    (await arm.namesIn(`${groupPath(desired)}/providers/${type}`)).filter((name) => name === desired.name).length;

/** Somebody's tag on our object. */
export const foreignTag = <Desired extends Place>(pathOf: PathOf<Desired>): Foreign<Desired> => ({
  what: "a tag",
  set: ({ arm }, desired) => arm.tag(pathOf(desired), { ...ownershipTags(desired.owner), costCentre: "7" }),
  read: async ({ arm }, desired) => (await arm.get(pathOf(desired)))["tags"],
});

/** What is tagged as another customer's has our name only by accident. */
export const foreignTags = <Desired extends Place>(kind: Kind, pathOf: PathOf<Desired>): Stranger<Desired> => ({
  what: "without our tags",
  meets: "conflict",
  async set({ arm, ensure }, desired) {
    await ensure(kind, desired as never);
    await arm.tag(pathOf(desired), { ...ownershipTags(somebodyElse) });
  },
  read: ({ arm }, desired) => arm.get(pathOf(desired)),
  unset: ({ arm }, desired) => arm.tag(pathOf(desired), ownershipTags(desired.owner)),
});

export const another = <Desired extends Place>(desired: Desired): Desired => ({ ...desired, region: "northeurope" });
/** The last write of somebody to our object did not end well, on Azure's side. */
export const failedWrite = <Desired extends Place & { name: string }>(type: string): Drift<Desired, unknown> => ({
  paths: ["provisioningState"],
  async change({ clouds }, desired) {
    const stored = clouds.platform.collection<{ body: { properties: Json } }>(`arm.${type.toLowerCase()}`);
    const id = inGroup(type)(desired).toLowerCase();
    const found = stored.get(id);
    if (found === undefined) throw new Error(`Azure has no ${id}`);
    const properties = { ...found.body.properties, provisioningState: "Failed" };
    stored.set(id, { ...found, body: { ...found.body, properties } });
  },
});

/** A change by hand of an Azure object's properties. */
export const changing =
  <Desired>(pathOf: PathOf<Desired>, changed: (properties: Json, body: Json, desired: Desired) => Json) =>
  ({ arm }: World, desired: Desired): Promise<void> =>
    arm.change(pathOf(desired), (body) => {
      const { properties, ...rest } = body;
      const { provisioningState: _, ...own } = properties as Json;
      return { ...rest, properties: { ...own, ...changed(own, body, desired) } };
    });

const securityGroupPath = inGroup("Microsoft.Network/networkSecurityGroups");
const networkPath = inGroup("Microsoft.Network/virtualNetworks");
const addressPath = inGroup("Microsoft.Network/publicIPAddresses");
const interfacePath = inGroup("Microsoft.Network/networkInterfaces");
const machinePath = inGroup("Microsoft.Compute/virtualMachines");
const vaultPath = inGroup("Microsoft.KeyVault/vaults");
const identityPath = inGroup("Microsoft.ManagedIdentity/userAssignedIdentities");

export const machine = async (one: World, name: string, address: 1 | 2): Promise<DesiredOf<Resources["gatewayVm"]>> => {
  const { addressIds, subnetId, networkSecurityGroupId, identity, adminPassword } = await one.ground();
  const { id } = (await one.ensure("networkInterface", {
    ...place,
    name: `${name}-interface`,
    subnetId,
    networkSecurityGroupId,
    publicIpAddressId: addressIds[address],
  })) as { id: string };
  return {
    ...place,
    name,
    computerName: `gw-${name}`,
    size: "Standard_D4as_v5",
    image: {
      publisher: "MicrosoftWindowsServer",
      offer: "WindowsServer",
      sku: "2022-datacenter-azure-edition",
      version: "latest",
    },
    disk: "Premium_LRS",
    networkInterfaceId: id,
    identityId: identity.id,
    adminUsername: "gatehouse",
    adminPassword,
  };
};

const resourceGroup: RowOf<"resourceGroup"> = {
  prepare: async () => ({ ...place, resourceGroup: "gatehouse-conformance" }),
  drifts: [
    {
      paths: ["provisioningState"],
      async change({ clouds }, desired) {
        const groups = clouds.platform.collection<Json>("arm.resourceGroups");
        const id = groupPath(desired).toLowerCase();
        groups.set(id, { ...groups.get(id), provisioningState: "Failed" });
      },
    },
  ],
  fixed: { region: another },
  unowned: foreignTag(groupPath),
  stranger: foreignTags("resourceGroup", groupPath),
  count: async ({ arm }, { subscriptionId, resourceGroup: name }) =>
    (await arm.namesIn(`/subscriptions/${subscriptionId}/resourcegroups`)).filter((one) => one === name).length,
};

const termsPath = ({ subscriptionId, plan: { publisher, product, name } }: DesiredOf<Resources["marketplaceTerms"]>): string =>
  `/subscriptions/${subscriptionId}/providers/Microsoft.MarketplaceOrdering/offerTypes/virtualmachine/publishers/${publisher}/offers/${product}/plans/${name}/agreements/current`;
const plan = { publisher: "gatewaymaker", product: "mail-gateway", name: "iq-suite-2022" };

const marketplaceTerms: RowOf<"marketplaceTerms"> = {
  prepare: async () => ({ owner, entraTenantId: place.entraTenantId, subscriptionId: place.subscriptionId, plan }),
  drifts: { notApplicable: "accepted or not is all there is" },
  fixed: {},
  unowned: { notApplicable: "an agreement has nothing beside it" },
  stranger: { notApplicable: "terms that somebody else accepted are accepted" },
  stays: {
    because: "other machines of the subscription may stand on them, and who accepted isn't told",
    undo: ({ arm }, desired) => arm.put(termsPath(desired), { properties: { accepted: false } }),
  },
  count: async ({ arm }, desired) => (((await arm.get(termsPath(desired)))["properties"] as Json)["accepted"] === true ? 1 : 0),
};

const vmIdentity: RowOf<"vmIdentity"> = {
  prepare: async (one) => (await one.ground(), { ...place, name: "conformance-identity" }),
  drifts: { notApplicable: "Azure changes nothing of an identity but its tags" },
  fixed: { region: another, provisioningState: "an identity has none" },
  unowned: foreignTag(identityPath),
  stranger: foreignTags("vmIdentity", identityPath),
  count: countedBy("Microsoft.ManagedIdentity/userAssignedIdentities"),
};

const vault: RowOf<"vault"> = {
  prepare: async (one) => (await one.ground(), { ...place, name: "contoso-conformance" }),
  drifts: [
    { paths: ["roleBasedAccess"], change: changing(vaultPath, () => ({ enableRbacAuthorization: false, accessPolicies: [] })) },
    failedWrite("Microsoft.KeyVault/vaults"),
  ],
  fixed: {
    region: another,
    entraTenantId: "Azure moves no vault between Entra tenants",
    softDelete: "Azure never switches it off",
  },
  unowned: {
    what: "a tag, deployment by templates, network rules",
    async set(one, desired) {
      await one.arm.tag(vaultPath(desired), { ...ownershipTags(owner), costCentre: "7" });
      const theirs = { enabledForTemplateDeployment: true, networkAcls: { defaultAction: "Deny", bypass: "AzureServices" } };
      await changing(vaultPath, () => theirs)(one, desired);
    },
    async read({ arm }, desired) {
      const { tags, properties } = await arm.get(vaultPath(desired));
      const { enabledForTemplateDeployment, networkAcls } = properties as Json;
      return { tags, enabledForTemplateDeployment, networkAcls };
    },
  },
  stranger: foreignTags("vault", vaultPath),
  count: countedBy("Microsoft.KeyVault/vaults"),
};

const assignmentPath = (desired: DesiredOf<Resources["roleAssignment"]>): string =>
  `${desired.scope}/providers/Microsoft.Authorization/roleAssignments/${assignmentName(desired)}`;
const assigned = ({ principalId }: { principalId: string }, role: keyof typeof roleDefinitions, description?: string): Json => ({
  properties: {
    roleDefinitionId: `/subscriptions/${place.subscriptionId}/providers/Microsoft.Authorization/roleDefinitions/${roleDefinitions[role]}`,
    principalId,
    principalType: "ServicePrincipal",
    ...(description === undefined ? {} : { description }),
  },
});

const roleAssignment: RowOf<"roleAssignment"> = {
  async prepare(one) {
    const { vault: opened } = await one.ground();
    const { principalId } = (await one.ensure("vmIdentity", { ...place, name: "conformance-reader" })) as { principalId: string };
    const { entraTenantId, subscriptionId } = place;
    return { owner, entraTenantId, subscriptionId, scope: opened.id, principalId, role: "Key Vault Secrets User" };
  },
  drifts: { notApplicable: "Azure changes nothing that an assignment grants" },
  fixed: { scope: "part of its name", principalId: "part of its name", role: "part of its name" },
  unowned: {
    what: "its description",
    set: ({ arm }, desired) => arm.put(assignmentPath(desired), assigned(desired, desired.role, "asked for by Jane")),
    read: async ({ arm }, desired) => ((await arm.get(assignmentPath(desired)))["properties"] as Json)["description"],
  },
  stranger: {
    what: "another role under the name that ours has",
    meets: "conflict",
    set: ({ arm }, desired) => arm.put(assignmentPath(desired), assigned(desired, "Key Vault Secrets Officer")),
    read: ({ arm }, desired) => arm.get(assignmentPath(desired)),
    unset: ({ arm }, desired) => arm.delete(assignmentPath(desired)),
  },
  count: async ({ arm }, desired) =>
    (await arm.namesIn(`${desired.scope}/providers/Microsoft.Authorization/roleAssignments`)).filter(
      (name) => name === assignmentName(desired),
    ).length,
};

const dnsSettings = (properties: Json): Json => properties["dnsSettings"] as Json;

const publicIpAddress: RowOf<"publicIpAddress"> = {
  prepare: async (one) => (await one.ground(), { ...place, name: "conformance-address", dnsLabel: names.dnsLabel }),
  drifts: [
    {
      paths: ["reverseFqdn"],
      change: changing(addressPath, (properties) => ({
        dnsSettings: { domainNameLabel: dnsSettings(properties)["domainNameLabel"] },
      })),
    },
    {
      paths: ["dnsLabel", "reverseFqdn"],
      change: changing(addressPath, () => ({ dnsSettings: { domainNameLabel: "contoso-renamed" } })),
    },
    failedWrite("Microsoft.Network/publicIPAddresses"),
  ],
  fixed: {
    region: another,
    fqdn: "it follows from the label",
    sku: "Azure changes none of an address",
    allocation: "a Standard address is always static",
  },
  unowned: {
    what: "a tag, how long idle flows live",
    async set(one, desired) {
      await one.arm.tag(addressPath(desired), { ...ownershipTags(owner), costCentre: "7" });
      await changing(addressPath, () => ({ idleTimeoutInMinutes: 10 }))(one, desired);
    },
    async read({ arm }, desired) {
      const { tags, properties } = await arm.get(addressPath(desired));
      return { tags, idle: (properties as Json)["idleTimeoutInMinutes"] };
    },
  },
  stranger: foreignTags("publicIpAddress", addressPath),
  count: countedBy("Microsoft.Network/publicIPAddresses"),
};

const rulesIn = (properties: Json): Json[] => properties["securityRules"] as Json[];
const anyTraffic = {
  priority: 400,
  direction: "Inbound",
  access: "Allow",
  protocol: "*",
  sourcePortRange: "*",
  destinationPortRange: "*",
  sourceAddressPrefix: "*",
  destinationAddressPrefix: "*",
};

const networkSecurityGroup: RowOf<"networkSecurityGroup"> = {
  prepare: async (one) => (await one.ground(), { ...place, name: "conformance-security", services }),
  drifts: [
    {
      paths: ["rules/RDP"],
      change: changing(securityGroupPath, (properties) => ({
        securityRules: rulesIn(properties).map((rule) =>
          rule["name"] === "RDP" ? { ...rule, properties: { ...(rule["properties"] as Json), sourceAddressPrefix: "*" } } : rule,
        ),
      })),
    },
    {
      paths: ["rules/SMTP", "rules/temporary"],
      change: changing(securityGroupPath, (properties) => ({
        securityRules: [
          ...rulesIn(properties).filter(({ name }) => name !== "SMTP"),
          { name: "temporary", properties: anyTraffic },
        ],
      })),
    },
    failedWrite("Microsoft.Network/networkSecurityGroups"),
  ],
  fixed: { region: another },
  unowned: foreignTag(securityGroupPath),
  stranger: foreignTags("networkSecurityGroup", securityGroupPath),
  count: countedBy("Microsoft.Network/networkSecurityGroups"),
};

/** A change by hand of our subnet. */
const subnetChange = (changed: (properties: Json) => Json) =>
  changing<DesiredOf<Resources["virtualNetwork"]>>(networkPath, (properties, _, { subnet }) => ({
    subnets: (properties["subnets"] as Json[]).map((one) =>
      one["name"] === subnet.name ? { ...one, properties: changed(one["properties"] as Json) } : one,
    ),
  }));

const virtualNetwork: RowOf<"virtualNetwork"> = {
  async prepare(one) {
    const { networkSecurityGroupId } = await one.ground();
    return {
      ...place,
      name: "conformance-network",
      addressPrefix: "10.30.0.0/24",
      subnet: { name: "gateways", addressPrefix: "10.30.0.0/26" },
      networkSecurityGroupId,
    };
  },
  drifts: [
    {
      paths: ["defaultOutboundAccess"],
      change: subnetChange((properties) => ({ ...properties, defaultOutboundAccess: true })),
    },
    {
      paths: ["networkSecurityGroupId"],
      change: subnetChange((properties) => ({ ...properties, networkSecurityGroup: undefined })),
    },
    { paths: ["subnetAddressPrefix"], change: subnetChange((properties) => ({ ...properties, addressPrefix: "10.30.0.0/27" })) },
    failedWrite("Microsoft.Network/virtualNetworks"),
  ],
  fixed: {
    region: another,
    addressPrefixes: "Azure takes no prefix away that has a subnet",
  },
  unowned: {
    what: "a tag, another prefix, another subnet",
    async set(one, desired) {
      await one.arm.tag(networkPath(desired), { ...ownershipTags(owner), costCentre: "7" });
      await changing(networkPath, (properties) => ({
        addressSpace: { addressPrefixes: ["10.30.0.0/24", "10.31.0.0/24"] },
        subnets: [
          ...(properties["subnets"] as Json[]),
          { name: "theirs", properties: { addressPrefix: "10.31.0.0/26", privateEndpointNetworkPolicies: "Enabled" } },
        ],
      }))(one, desired);
    },
    async read({ arm }, desired) {
      const { tags, properties } = await arm.get(networkPath(desired));
      const { addressSpace, subnets } = properties as { addressSpace: Json; subnets: { name: string; properties: Json }[] };
      const theirs = subnets.find(({ name }) => name === "theirs")?.properties;
      return { tags, addressSpace, prefix: theirs?.["addressPrefix"], policies: theirs?.["privateEndpointNetworkPolicies"] };
    },
  },
  stranger: foreignTags("virtualNetwork", networkPath),
  count: countedBy("Microsoft.Network/virtualNetworks"),
};

/** A change by hand of the interface's address configuration. */
const addressChange = (changed: (properties: Json) => Json) =>
  changing<DesiredOf<Resources["networkInterface"]>>(interfacePath, (properties) => ({
    ipConfigurations: (properties["ipConfigurations"] as Json[]).map((one) => ({
      ...one,
      properties: changed(one["properties"] as Json),
    })),
  }));

const networkInterface: RowOf<"networkInterface"> = {
  async prepare(one) {
    const { subnetId, networkSecurityGroupId, addressIds } = await one.ground();
    await changing<{ name: string } & Place>(networkPath, (properties) => ({
      subnets: [
        ...(properties["subnets"] as Json[]),
        {
          name: "others",
          properties: { addressPrefix: "10.20.0.64/26", networkSecurityGroup: { id: networkSecurityGroupId } },
        },
      ],
    }))(one, { ...place, name: "ground-network" });
    const balanced = balancerOf("ground-balancer", await balancerAddress(one, "ground-balancer-address"));
    const { poolId } = (await one.ensure("loadBalancer", balanced)) as { poolId: string };
    return {
      ...place,
      name: "conformance-interface",
      subnetId,
      networkSecurityGroupId,
      publicIpAddressId: addressIds[0],
      poolId,
    };
  },
  drifts: [
    { paths: ["networkSecurityGroupId"], change: changing(interfacePath, () => ({ networkSecurityGroup: undefined })) },
    { paths: ["poolIds"], change: addressChange((properties) => ({ ...properties, loadBalancerBackendAddressPools: [] })) },
    { paths: ["publicIpAddressId"], change: addressChange((properties) => ({ ...properties, publicIPAddress: undefined })) },
    {
      paths: ["subnetId"],
      change: addressChange((properties) => ({
        ...properties,
        privateIPAddress: undefined,
        subnet: { id: ((properties["subnet"] as Json)["id"] as string).replace(/[^/]+$/, "others") },
      })),
    },
    failedWrite("Microsoft.Network/networkInterfaces"),
  ],
  fixed: { region: another },
  unowned: foreignTag(interfacePath),
  stranger: foreignTags("networkInterface", interfacePath),
  count: countedBy("Microsoft.Network/networkInterfaces"),
};

const setPath = inGroup("Microsoft.Compute/availabilitySets");

const availabilitySet: RowOf<"availabilitySet"> = {
  prepare: async (one) => (await one.ground(), { ...place, name: "conformance-set" }),
  drifts: { notApplicable: "Azure changes nothing of a set that holds machines with managed disks" },
  fixed: {
    region: another,
    sku: "an Aligned set stays one",
    faultDomains: "Azure changes none of a set",
    updateDomains: "Azure changes none of a set",
    provisioningState: "Compute writes a set at once",
  },
  unowned: foreignTag(setPath),
  stranger: foreignTags("availabilitySet", setPath),
  count: countedBy("Microsoft.Compute/availabilitySets"),
};

const balancerPath = inGroup("Microsoft.Network/loadBalancers");
const balancerOf = (name: string, publicIpAddressId: string): DesiredOf<Resources["loadBalancer"]> => ({
  ...place,
  name,
  id: balancerPath({ ...place, name }),
  publicIpAddressId,
  services,
});
const balancerAddress = async (one: World, name: string): Promise<string> => {
  const made = await one.ensure("publicIpAddress", {
    ...place,
    name,
    dnsLabel: `${names.loadBalancerLabel}-${name.slice(0, 4)}`,
  });
  return (made as { id: string }).id;
};

const balancer: RowOf<"loadBalancer"> = {
  async prepare(one) {
    await one.ground();
    return balancerOf("conformance-balancer", await balancerAddress(one, "conformance-balancer-address"));
  },
  drifts: [
    {
      paths: ["rules/smtp"],
      change: changing(balancerPath, (properties) => ({
        loadBalancingRules: (properties["loadBalancingRules"] as Json[]).map((rule) =>
          rule["name"] === "smtp"
            ? { ...rule, properties: { ...(rule["properties"] as Json), disableOutboundSnat: false } }
            : rule,
        ),
      })),
    },
    {
      paths: ["rules/https"],
      change: changing(balancerPath, (properties) => ({
        probes: (properties["probes"] as Json[]).map((probe) =>
          probe["name"] === "https"
            ? { ...probe, properties: { ...(probe["properties"] as Json), requestPath: "/health" } }
            : probe,
        ),
      })),
    },
    {
      paths: ["rules/temporary"],
      change: changing(balancerPath, (properties) => {
        const [rule] = properties["loadBalancingRules"] as { properties: Json }[];
        const temporary = { name: "temporary", properties: { ...rule?.properties, frontendPort: 8025, backendPort: 8026 } };
        return { loadBalancingRules: [...(properties["loadBalancingRules"] as Json[]), temporary] };
      }),
    },
    failedWrite("Microsoft.Network/loadBalancers"),
  ],
  fixed: {
    region: another,
    sku: "Azure changes none of a load balancer",
    publicIpAddressId: "its frontend can't be without an address, and another address is another desired state",
    poolId: "the pool goes only with the load balancer: rules use it",
  },
  unowned: {
    what: "a tag, another pool",
    async set(one, desired) {
      await one.arm.tag(balancerPath(desired), { ...ownershipTags(owner), costCentre: "7" });
      await changing(balancerPath, (properties) => ({
        backendAddressPools: [...(properties["backendAddressPools"] as Json[]), { name: "theirs" }],
      }))(one, desired);
    },
    async read({ arm }, desired) {
      const { tags, properties } = await arm.get(balancerPath(desired));
      const pools = (properties as Json)["backendAddressPools"] as Json[];
      return { tags, theirs: pools.filter(({ name }) => name === "theirs").length };
    },
  },
  stranger: foreignTags("loadBalancer", balancerPath),
  count: countedBy("Microsoft.Network/loadBalancers"),
};

const gatewayVm: RowOf<"gatewayVm"> = {
  prepare: (one) => machine(one, "machine", 1),
  drifts: [
    { paths: ["size"], change: changing(machinePath, () => ({ hardwareProfile: { vmSize: "Standard_D8as_v5" } })) },
    {
      paths: ["bootDiagnostics"],
      change: changing(machinePath, () => ({ diagnosticsProfile: { bootDiagnostics: { enabled: false } } })),
    },
    {
      paths: ["secureBoot", "vTpm"],
      change: changing(machinePath, () => ({
        securityProfile: { securityType: "TrustedLaunch", uefiSettings: { secureBootEnabled: false, vTpmEnabled: false } },
      })),
    },
    {
      paths: ["identityIds"],
      change: ({ arm }, desired) => arm.change(machinePath(desired), (body) => ({ ...body, identity: { type: "None" } })),
    },
    failedWrite("Microsoft.Compute/virtualMachines"),
  ],
  fixed: {
    region: another,
    computerName: (desired) => ({ ...desired, computerName: "gw-another" }),
    image: (desired) => ({ ...desired, image: { ...desired.image, version: "20348.1.1" } }),
    plan: (desired) => ({ ...desired, plan }),
    disk: (desired) => ({ ...desired, disk: "StandardSSD_LRS" }),
    zone: (desired) => ({ ...desired, zone: "2" }),
    availabilitySetId: (desired) => ({
      ...desired,
      availabilitySetId: `${groupPath(desired)}/providers/Microsoft.Compute/availabilitySets/a`,
    }),
    networkInterfaceId: (desired) => ({ ...desired, networkInterfaceId: `${desired.networkInterfaceId}-2` }),
    adminUsername: (desired) => ({ ...desired, adminUsername: "another" }),
    securityType: "Azure takes no machine back from Trusted Launch",
  },
  unowned: foreignTag(machinePath),
  stranger: foreignTags("gatewayVm", machinePath),
  count: countedBy("Microsoft.Compute/virtualMachines"),
};

const guestMachine = (desired: DesiredOf<Resources["guest"]>): string =>
  `${groupPath(desired)}/providers/Microsoft.Compute/virtualMachines/${desired.virtualMachine}`;
const runsOf = (desired: DesiredOf<Resources["guest"]>): string => `${guestMachine(desired)}/runCommands`;

/** Windows inside the machine, changed by its own administrator. */
const inside = async (one: World, desired: DesiredOf<Resources["guest"]>, change: (state: GuestState) => void): Promise<void> => {
  const guests: Collection<GuestState> = one.clouds.platform.collection("arm.guests");
  const key = guestMachine(desired).toLowerCase();
  const state = structuredClone(guests.get(key));
  if (state === undefined) throw new Error("the machine has no inside");
  change(state);
  guests.set(key, state);
};

/** A drift inside is seen by the next look. */
const insideDrift = (paths: string[], change: (state: GuestState) => void): Drift<DesiredOf<Resources["guest"]>, unknown> => ({
  paths,
  async change(one, desired) {
    await inside(one, desired, change);
    await one.finish(await one.resources.guest.testAgain(desired));
  },
});

/** The name that the first run of this document has. */
let firstRun = "";
const strangersRun = (desired: DesiredOf<Resources["guest"]>): string => `${runsOf(desired)}/${firstRun}`;

const guest: RowOf<"guest"> = {
  async prepare(one) {
    const { identity, loopGuid } = await one.ground();
    const hosting = await machine(one, "guests", 2);
    await one.ensure("gatewayVm", hosting);
    return {
      ...place,
      virtualMachine: hosting.name,
      identityClientId: identity.clientId,
      document: gatewayDocument({
        generation: 1,
        fqdn: "gateway.contoso.example",
        smartHost: "contoso-example.mail.protection.outlook.com",
        domains: ["contoso.example"],
        loopHeader,
        loopGuid,
        services,
      }),
    };
  },
  drifts: [
    insideDrift(["services/SMTPSVC"], ({ services: running }) => {
      if (running["SMTPSVC"]) running["SMTPSVC"].state = "Stopped";
    }),
    insideDrift(["smtp/smartHost"], ({ metabase }) => {
      if (metabase) metabase.smartHost = "elsewhere.example";
    }),
  ],
  fixed: {
    inDesiredState: "it is false exactly when a difference is named",
    differences: "they are the drifts",
    failure: "a run that failed: see azure-gateway.test.ts",
  },
  unowned: {
    what: "another registry value, another run command",
    async set(one, desired) {
      await inside(one, desired, ({ registry }) => {
        registry["hklm\\software\\theirs"] = { Setting: { type: "String", data: "7" } };
      });
      await one.arm.put(`${runsOf(desired)}/inventory`, {
        location: desired.region,
        properties: { source: { script: "Get-Process" } },
      });
    },
    async read(one, desired) {
      const state = one.clouds.platform.collection<GuestState>("arm.guests").get(guestMachine(desired).toLowerCase());
      const runs = await one.arm.namesIn(runsOf(desired));
      return { theirs: state?.registry["hklm\\software\\theirs"], runs: runs.filter((name) => name === "inventory") };
    },
  },
  stranger: {
    what: "a run named like ours, without our tags",
    meets: { beside: "runs are numbered past every one that is there" },
    async set(one, desired) {
      ({ run: firstRun } = (await one.ensure("guest", desired)) as { run: string });
      await one.finish(await one.resources.guest.remove(desired));
      await one.arm.put(strangersRun(desired), {
        location: desired.region,
        properties: { source: { script: "Get-Process" } },
      });
    },
    read: ({ arm }, desired) => arm.get(strangersRun(desired)),
    unset: ({ arm }, desired) => arm.delete(strangersRun(desired)),
  },
  count: async ({ arm }, desired) =>
    // Each run of a document is one more; together they are the guest.
    (await arm.namesIn(runsOf(desired))).some((name) => name.startsWith("gatehouse-set-")) ? 1 : 0,
  clearsUp: true,
  // The engine inside fetches the loop GUID.
  askedByOthers: ({ cloud, url }) => cloud === "vault" && url.includes("api-version=7.4"),
};

/** What is there before the gateway, and may outlive it. */
export const groundRows = { resourceGroup, marketplaceTerms, vmIdentity, vault, roleAssignment };

export const gatewayRows = {
  publicIpAddress,
  networkSecurityGroup,
  virtualNetwork,
  availabilitySet,
  loadBalancer: balancer,
  networkInterface,
  gatewayVm,
  guest,
};
