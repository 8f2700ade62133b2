/** Load balancers of the simulated Azure: what they refuse, whom mail reaches through them, and where a machine's own mail gets out. */
import { expect, test } from "vitest";
import { createTestArm, ours, type TestArm } from "../support/arm-platform.ts";
import {
  ask,
  at,
  location,
  make,
  makeGround,
  makeMachine,
  networkInterface,
  publicAddress,
  ref,
  remove,
} from "../support/arm-requests.ts";

const balancer = "Microsoft.Network/loadBalancers/lb";
const pool = ref(`${balancer}/backendAddressPools/gateways`);
const frontend = ref(`${balancer}/frontendIPConfigurations/public`);
const probe = { name: "smtp", properties: { protocol: "Tcp", port: 25, intervalInSeconds: 5, numberOfProbes: 2 } };
const smtpRule = {
  name: "smtp",
  properties: {
    frontendIPConfiguration: frontend,
    backendAddressPool: pool,
    probe: ref(`${balancer}/probes/smtp`),
    protocol: "Tcp",
    frontendPort: 25,
    backendPort: 25,
    disableOutboundSnat: true,
  },
};

const balancerBody = (properties: Record<string, unknown> = {}, sku = "Standard") => ({
  location,
  sku: { name: sku },
  properties: {
    frontendIPConfigurations: [
      { name: "public", properties: { publicIPAddress: ref("Microsoft.Network/publicIPAddresses/lb-ip") } },
    ],
    backendAddressPools: [{ name: "gateways" }],
    probes: [probe],
    loadBalancingRules: [smtpRule],
    ...properties,
  },
});

const makeBalancer = async (arm: TestArm, properties: Record<string, unknown> = {}): Promise<void> => {
  await makeGround(arm);
  await make(arm, "Microsoft.Network/publicIPAddresses/lb-ip", publicAddress("contoso-mail"));
  await make(arm, balancer, balancerBody(properties));
};

/** Lets a machine's SMTP server run, as a guest document would, with the firewall open for port 25. */
function openSmtp(arm: TestArm, name: string, running = true): void {
  const guests = arm.platform.collection<Record<string, unknown>>("arm.guests");
  const key = ref(`Microsoft.Compute/virtualMachines/${name}`).id.toLowerCase();
  const guest = guests.get(key);
  guests.set(key, {
    ...guest,
    smtp: { ...(guest?.["smtp"] as object), running },
    firewall: [{ name: "SMTP", port: 25, protocol: "TCP", enabled: true, sources: ["Any"] }],
  });
}

const inPool = { address: false, ipConfiguration: { loadBalancerBackendAddressPools: [pool] } };
const LB_ADDRESS = "203.0.113.10";
const SOURCE = "198.51.100.7";

test("mail to its address reaches the machines of the pool in turn, and only those whose probe port answers", async () => {
  const arm = createTestArm();
  await makeBalancer(arm);
  for (const name of ["smtp01", "smtp02"]) {
    await makeMachine(arm, name, inPool);
    openSmtp(arm, name);
  }
  const reached = () => arm.platform.peers.gatewayAt?.(LB_ADDRESS, 25, SOURCE)?.computerName;
  expect([reached(), reached(), reached()]).toEqual(["smtp01", "smtp02", "smtp01"]);
  openSmtp(arm, "smtp01", false);
  expect([reached(), reached()]).toEqual(["smtp02", "smtp02"]);
  arm.platform.peers.actOnMachine?.(ref("Microsoft.Compute/virtualMachines/smtp02").id, "stop");
  expect(reached()).toBeUndefined();
  expect(arm.platform.peers.gatewayAt?.(LB_ADDRESS, 443, SOURCE)).toBeUndefined();
});

test("a security group that shuts out the probe takes a machine out, though SMTP's sources may come in", async () => {
  const arm = createTestArm();
  await makeBalancer(arm);
  await makeMachine(arm, "smtp01", inPool);
  openSmtp(arm, "smtp01");
  const rule = (name: string, priority: number, access: string, source: string) => ({
    name,
    properties: {
      priority,
      access,
      direction: "Inbound",
      protocol: "Tcp",
      sourceAddressPrefix: source,
      sourcePortRange: "*",
      destinationAddressPrefix: "*",
      destinationPortRange: "25",
    },
  });
  const put = (securityRules: unknown[]) =>
    make(arm, "Microsoft.Network/networkSecurityGroups/rules", { location, properties: { securityRules } });
  const reached = () => arm.platform.peers.gatewayAt?.(LB_ADDRESS, 25, SOURCE) !== undefined;
  await put([rule("SMTP", 100, "Allow", "198.51.100.0/24"), rule("Nobody", 200, "Deny", "*")]);
  expect(reached()).toBe(false);
  await put([
    rule("SMTP", 100, "Allow", "198.51.100.0/24"),
    rule("Probe", 110, "Allow", "AzureLoadBalancer"),
    rule("Nobody", 200, "Deny", "*"),
  ]);
  expect(reached()).toBe(true);
});

test("references lead both ways, and what is in use can't go", async () => {
  const arm = createTestArm();
  await makeBalancer(arm);
  await makeMachine(arm, "smtp01", inPool);
  const body = (await ask(arm, "GET", balancer)).body;
  const configuration = ref("Microsoft.Network/networkInterfaces/smtp01-nic/ipConfigurations/primary");
  const rule = ref(`${balancer}/loadBalancingRules/smtp`);
  expect({
    pool: at(body, "properties.backendAddressPools.0.properties.backendIPConfigurations"),
    rules: ["frontendIPConfigurations", "backendAddressPools", "probes"].map((one) =>
      at(body, `properties.${one}.0.properties.loadBalancingRules`),
    ),
    address: at((await ask(arm, "GET", "Microsoft.Network/publicIPAddresses/lb-ip")).body, "properties.ipConfiguration"),
  }).toEqual({ pool: [configuration], rules: [[rule], [rule], [rule]], address: frontend });
  const refused = async (method: string, path: string, sent?: unknown) =>
    at((await ask(arm, method, path, sent === undefined ? {} : { body: sent })).body, "error.code");
  expect([
    await refused("DELETE", "Microsoft.Network/publicIPAddresses/lb-ip"),
    await refused("DELETE", balancer),
    await refused("PUT", balancer, balancerBody({ backendAddressPools: [], loadBalancingRules: [] })),
  ]).toEqual([
    "PublicIPAddressCannotBeDeleted",
    "LoadBalancerBackendAddressPoolInUseByNetworkInterface",
    "LoadBalancerBackendAddressPoolInUseByNetworkInterface",
  ]);
  await make(arm, "Microsoft.Network/networkInterfaces/smtp01-nic", networkInterface({}));
  expect((await remove(arm, balancer)).status).toBe(202);
  expect((await remove(arm, "Microsoft.Network/publicIPAddresses/lb-ip")).status).toBe(202);
  expect(arm.schemaFindings()).toEqual([]);
});

test.each([
  ["InvalidResourceReference", { probes: [] }],
  [
    "LoadBalancingRuleMustDisableSNATSinceSameFrontendIPConfigurationIsReferencedByOutboundRule",
    {
      loadBalancingRules: [{ ...smtpRule, properties: { ...smtpRule.properties, disableOutboundSnat: false } }],
      outboundRules: [
        { name: "out", properties: { frontendIPConfigurations: [frontend], backendAddressPool: pool, protocol: "All" } },
      ],
    },
  ],
  [
    "RulesUseSameBackendPortProtocolAndPool",
    {
      loadBalancingRules: [smtpRule, { ...smtpRule, name: "again", properties: { ...smtpRule.properties, frontendPort: 2525 } }],
    },
  ],
  ["ProbeRequestPathMissing", { probes: [{ name: "smtp", properties: { protocol: "Http", port: 80 } }] }],
  ["FrontendIPConfigurationMustReferenceSubnetOrPublicIP", { frontendIPConfigurations: [{ name: "public", properties: {} }] }],
])("refuses with %s", async (code, properties) => {
  const arm = createTestArm();
  await makeGround(arm);
  await make(arm, "Microsoft.Network/publicIPAddresses/lb-ip", publicAddress());
  const { status, body } = await ask(arm, "PUT", balancer, { body: balancerBody(properties) });
  expect([status, at(body, "error.code")]).toEqual([400, code]);
});

test("one address serves one thing, and Basic is gone", async () => {
  const arm = createTestArm();
  await makeBalancer(arm);
  const taken = await ask(arm, "PUT", "Microsoft.Network/networkInterfaces/nic", {
    body: networkInterface({ publicIPAddress: ref("Microsoft.Network/publicIPAddresses/lb-ip") }),
  });
  const basic = await ask(arm, "PUT", "Microsoft.Network/loadBalancers/other", { body: balancerBody({}, "Basic") });
  expect([taken, basic].map(({ body }) => at(body, "error.code"))).toEqual([
    "PublicIPAddressInUse",
    "BasicSkuLoadBalancerRetired",
  ]);
});

const egressOf = (arm: TestArm) => {
  const guest = arm.platform.peers.guestOf?.(ref("Microsoft.Compute/virtualMachines/smtp01").id);
  return [guest?.egressAddress, guest?.outboundSmtpBlocked ?? false];
};

test("a machine's own mail leaves by its own address, else by an outbound rule, else not at all from a private subnet", async () => {
  const own = createTestArm();
  await makeBalancer(own);
  await makeMachine(own, "smtp01", { ipConfiguration: { loadBalancerBackendAddressPools: [pool] } });
  expect(egressOf(own)).toEqual(["203.0.113.11", false]);

  const none = createTestArm();
  await makeBalancer(none);
  await makeMachine(none, "smtp01", inPool);
  expect(egressOf(none)).toEqual(["", true]);
  const outboundRules = [
    { name: "out", properties: { frontendIPConfigurations: [frontend], backendAddressPool: pool, protocol: "All" } },
  ];
  await make(none, balancer, balancerBody({ outboundRules }));
  expect(egressOf(none)).toEqual([LB_ADDRESS, false]);

  const open = createTestArm();
  await makeGround(open);
  const network = "Microsoft.Network/virtualNetworks/net";
  const subnets = [{ name: "smtp", properties: { addressPrefix: "10.0.0.0/26" } }];
  await make(open, network, { location, properties: { addressSpace: { addressPrefixes: ["10.0.0.0/24"] }, subnets } });
  await makeMachine(open, "smtp01", { address: false });
  expect(egressOf(open)).toEqual(["198.51.100.250", false]);
});

test.each([
  ["EnterpriseAgreement", "EnterpriseAgreement_2014-09-01", false],
  ["PayAsYouGo", "PayAsYouGo_2014-09-01", true],
  ["CSP", "CSP_2015-05-01", true],
] as const)("port 25 outbound of a subscription of kind %s", async (offer, quotaId, blocked) => {
  const arm = createTestArm({ organization: { offer } });
  await makeGround(arm);
  await makeMachine(arm, "smtp01");
  const { body } = await ask(arm, "GET", `/subscriptions/${ours.subscriptionId}`);
  expect([at(body, "subscriptionPolicies.quotaId"), egressOf(arm)[1]]).toEqual([quotaId, blocked]);
});
