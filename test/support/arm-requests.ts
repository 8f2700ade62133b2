/** Plain requests to a simulated ARM, and a gateway built with them: for tests of what no SDK shows, such as headers and refusals. */
import type { SimulatedResponse } from "../../infra/local/clouds/simulator.ts";
import { ours, type TestArm } from "./arm-platform.ts";

export const location = "westeurope";
export const groupId = `/subscriptions/${ours.subscriptionId}/resourceGroups/gateway`;

export interface Answer {
  status: number;
  headers: Record<string, string>;
  body: Body;
}

export type Body = Record<string, unknown>;

/** What is at a path of names and numbers, such as `properties.subnets.0.id`. */
export const at = (body: unknown, path: string): unknown =>
  path.split(".").reduce<unknown>((value, name) => (value as Body | undefined)?.[name], body);

/** The members of a list. */
export const rows = (body: Body): Body[] => body["value"] as Body[];

const versions: Record<string, string> = {
  "Microsoft.Resources": "2025-04-01",
  "Microsoft.Network": "2026-01-01",
  "Microsoft.Compute": "2026-04-01",
  "Microsoft.ManagedIdentity": "2024-11-30",
  "Microsoft.Insights": "2021-05-01-preview",
  "Microsoft.DevTestLab": "2018-09-15",
  "Microsoft.MarketplaceOrdering": "2021-01-01",
  "Microsoft.Storage": "2024-01-01",
  "Microsoft.OperationalInsights": "2023-09-01",
  "Microsoft.Sql": "2023-08-01",
};

const versionFor = (path: string): string => {
  if (/\/dnsZones/i.test(path)) return "2018-05-01";
  if (/\/disks(\/|$)/.test(path)) return "2026-03-02";
  if (path.endsWith("/Microsoft.Compute/skus")) return "2021-07-01";
  if (/\/dataCollectionRule/.test(path)) return "2023-03-11";
  return versions[path.split("/providers/").at(-1)?.split("/")[0] ?? ""] ?? "2025-04-01";
};

/** `path` is an id, or what follows the resource group's `/providers/`. */
export async function ask(
  arm: TestArm,
  method: string,
  path: string,
  { body, headers, query = "" }: { body?: unknown; headers?: Record<string, string>; query?: string } = {},
): Promise<Answer> {
  const id = path.startsWith("/") ? path : `${groupId}/providers/${path}`;
  const response = await arm.request(method, `${id}?api-version=${versionFor(id)}${query}`, {
    ...(body === undefined ? {} : { body }),
    ...(headers === undefined ? {} : { headers }),
  });
  return answerOf(response);
}

const answerOf = ({ status, headers = {}, body }: SimulatedResponse): Answer => ({ status, headers, body: (body ?? {}) as Body });

/** Writes, waits as long as it takes, and gives what is there then; throws what was refused or failed. */
export async function make(arm: TestArm, path: string, body: unknown): Promise<Body> {
  const begun = await ask(arm, "PUT", path, { body });
  if (begun.status >= 300) throw new Error(`${path}: ${begun.status} ${JSON.stringify(begun.body)}`);
  const over = await outcome(arm, begun);
  if (over?.["error"] !== undefined) throw new Error(`${path}: ${JSON.stringify(over)}`);
  return (await ask(arm, "GET", path)).body;
}

/** The status body of the operation that an answer began, after an hour; undefined when there is none. */
export async function outcome(arm: TestArm, { headers }: Pick<Answer, "headers">): Promise<Body | undefined> {
  const url = headers["azure-asyncoperation"] ?? headers["location"];
  if (url === undefined) return undefined;
  arm.advance(3600);
  const { pathname, search } = new URL(url);
  return answerOf(await arm.request("GET", `${pathname}${search}`)).body;
}

export async function remove(arm: TestArm, path: string): Promise<Answer> {
  const begun = await ask(arm, "DELETE", path);
  await outcome(arm, begun);
  return begun;
}

export const ref = (path: string): { id: string } => ({ id: `${groupId}/providers/${path}` });

const securityRule = (name: string, priority: number, destinationPortRange: string) => ({
  name,
  properties: {
    priority,
    direction: "Inbound",
    access: "Allow",
    protocol: "Tcp",
    sourceAddressPrefix: "*",
    sourcePortRange: "*",
    destinationAddressPrefix: "*",
    destinationPortRange,
  },
});

export const publicAddress = (label?: string) => ({
  location,
  sku: { name: "Standard" },
  properties: {
    publicIPAllocationMethod: "Static",
    ...(label === undefined ? {} : { dnsSettings: { domainNameLabel: label } }),
  },
});

export const networkInterface = (properties: Record<string, unknown>) => ({
  location,
  properties: {
    networkSecurityGroup: ref("Microsoft.Network/networkSecurityGroups/rules"),
    ipConfigurations: [
      { name: "primary", properties: { subnet: ref("Microsoft.Network/virtualNetworks/net/subnets/smtp"), ...properties } },
    ],
  },
});

/** Group, security group for SMTP and HTTP, and a network whose one subnet is closed. */
export async function makeGround(arm: TestArm): Promise<void> {
  await make(arm, groupId, { location });
  await make(arm, "Microsoft.Network/networkSecurityGroups/rules", {
    location,
    properties: { securityRules: [securityRule("SMTP", 100, "25"), securityRule("HTTP", 110, "80")] },
  });
  await make(arm, "Microsoft.Network/virtualNetworks/net", {
    location,
    properties: {
      addressSpace: { addressPrefixes: ["10.0.0.0/24"] },
      subnets: [
        {
          name: "smtp",
          properties: {
            addressPrefix: "10.0.0.0/26",
            networkSecurityGroup: ref("Microsoft.Network/networkSecurityGroups/rules"),
            defaultOutboundAccess: false,
          },
        },
      ],
    },
  });
}

export interface MachineOptions {
  /** Name of its network interface; the machine's own name followed by `-nic` when absent. */
  networkInterface?: string;
  vmSize?: string;
  properties?: Record<string, unknown>;
  top?: Record<string, unknown>;
}

export const machineBody = (name: string, { networkInterface: nic, vmSize, properties, top }: MachineOptions = {}) => ({
  location,
  ...top,
  properties: {
    hardwareProfile: { vmSize: vmSize ?? "Standard_D4as_v5" },
    osProfile: { computerName: name, adminUsername: "gatewayadmin", adminPassword: "correct-Horse-7" },
    storageProfile: {
      imageReference: {
        publisher: "MicrosoftWindowsServer",
        offer: "WindowsServer",
        sku: "2022-datacenter-azure-edition",
        version: "latest",
      },
      osDisk: { createOption: "FromImage", deleteOption: "Delete", managedDisk: { storageAccountType: "Premium_LRS" } },
    },
    networkProfile: { networkInterfaces: [ref(`Microsoft.Network/networkInterfaces/${nic ?? `${name}-nic`}`)] },
    ...properties,
  },
});

/** A machine with an interface and, unless `address` is false, a public address of its own. */
export async function makeMachine(
  arm: TestArm,
  name: string,
  {
    address = true,
    ipConfiguration = {},
    ...options
  }: MachineOptions & {
    address?: boolean;
    ipConfiguration?: Record<string, unknown>;
  } = {},
): Promise<Body> {
  if (address) await make(arm, `Microsoft.Network/publicIPAddresses/${name}-ip`, publicAddress());
  await make(
    arm,
    `Microsoft.Network/networkInterfaces/${name}-nic`,
    networkInterface({
      ...(address ? { publicIPAddress: ref(`Microsoft.Network/publicIPAddresses/${name}-ip`) } : {}),
      ...ipConfiguration,
    }),
  );
  return make(arm, `Microsoft.Compute/virtualMachines/${name}`, machineBody(name, options));
}

/** `/azure/…` of the control door. */
export const control = (arm: TestArm, method: string, path: string, body?: unknown): SimulatedResponse | undefined =>
  arm.platform.peers.controlAzure?.({ method, url: new URL(`http://127.0.0.1${path}`), body });
