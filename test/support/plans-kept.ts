/**
 * Whether a plan is what its operation then does: a world by chance (a spec, what stands already, what strangers changed), a plan of it that
 * writes nothing, and the operation that is started with that plan. What was written is read from what the clouds recorded, not from what
 * the operation says of itself.
 */
import type { Connector, ConnectionFilterPolicy, TransportRule } from "../../infra/local/clouds/exchange/store.ts";
import type { Exchange } from "../../infra/local/clouds/record.ts";
import type { Operation } from "../../shared/api/operation.ts";
import { type Plan, plannedOperations } from "../../shared/api/plan.ts";
import type { TestClouds } from "./clouds.ts";
import { type SpecInput, writes } from "./onboarding.ts";
import { createRandom } from "./random.ts";
import type { Way } from "./ways.ts";
import type { World, Worlds } from "./worlds.ts";

export interface Compared {
  /** What was planned and not written, in words such as `create gatewayVm`. */
  onlyPlanned: string[];
  onlyWritten: string[];
  /** How many objects were written. */
  objects: number;
  /** What planning wrote. */
  meanwhile: string[];
  ending: string;
}

/** Onboards a tenant of a spec by chance, lets strangers change things by chance, and onboards it again: each by its plan. */
export const planAndApply = (worlds: Worlds, seed: number): Promise<Compared[]> =>
  worlds.visit(async (world) => {
    const random = createRandom(seed);
    const { tenantId, body } = worlds.customer;
    await world.partner.putTenant({ tenantId, body: changedSpec(body, random, 0.4) });
    const first = await compare(world, tenantId);
    await drift(world.clouds, random);
    const { spec } = (await world.partner.getTenant({ tenantId })).body;
    if (random() < 0.4) await world.partner.putTenant({ tenantId, body: changedSpec(spec, random, 0.3) });
    return [first, await compare(world, tenantId)];
  });

const compare = (world: World, tenantId: string): Promise<Compared> =>
  compareWith(world.clouds, {
    plan: async () => (await world.partner.planOnboarding({ tenantId })).body,
    apply: async (plan) => world.ended((await world.partner.startOnboarding({ tenantId, body: { plan } })).body),
  });

/** An operation of that kind from its moment, by its plan. What an offboarding takes away goes with its group. */
export async function planAndBegin(worlds: Worlds, { kind, asked, from, start }: Way): Promise<Compared> {
  const { tenantId } = worlds.customer;
  const operation = asked?.operation ?? plannedOperations.find((one) => one === kind);
  if (operation === undefined) throw new Error(`nobody plans operations of the kind ${kind}`);
  return worlds.life(
    (life) =>
      compareWith(life.clouds, {
        plan: async () => (await life.partner.planOnboarding({ tenantId, body: { ...asked, operation } })).body,
        apply: async (plan) => life.ended(await start(life, plan)),
      }),
    from,
  );
}

interface Ways {
  plan(): Promise<Plan>;
  apply(hash: string): Promise<Operation>;
}

async function compareWith(clouds: TestClouds, { plan: make, apply }: Ways): Promise<Compared> {
  const before = await position(clouds);
  const plan = await make();
  const meanwhile = writes(await clouds.requests(undefined, before));
  const from = await position(clouds);
  const { status, error } = await apply(plan.hash);
  const [planned, written] = [plannedIn(plan), writtenIn(await clouds.requests(undefined, from), clouds)];
  return {
    onlyPlanned: without(planned, written),
    onlyWritten: without(written, planned),
    objects: written.length,
    meanwhile,
    ending: error ? `${error.code}: ${error.message}` : status,
  };
}

const position = async (clouds: TestClouds): Promise<number> => (await clouds.requests()).at(-1)?.seq ?? 0;

/** What a tenant has one of is one object, in however many steps it is brought about; of inbound connectors a second one is made beside it. */
const single = new Set(["inboundConnector", "outboundConnector", "connectionFilter", "webClientApplication", "bypassRule"]);

function plannedIn({ resources }: Plan): string[] {
  const seen = new Set<string>();
  return resources
    .flatMap(({ kind, action }) => {
      const object = kind === "inboundConnector" ? `${kind} ${action}` : kind;
      if (action === "none" || ((single.has(kind) || kind in objects) && seen.has(object))) return [];
      seen.add(object);
      // The filter is the customer's: our addresses are put into what is there.
      return [`${kind === "connectionFilter" ? "update" : action} ${objects[kind] ?? kind}`];
    })
    .toSorted();
}

/** As often as each is there. */
const without = (from: string[], those: string[]): string[] =>
  those.reduce((rest, one) => (rest.includes(one) ? rest.toSpliced(rest.indexOf(one), 1) : rest), from);

/** Kinds that are objects of the same type in their cloud. */
const objects: Record<string, string> = {
  guardRule: "transportRule",
  approvalRule: "transportRule",
  stripRule: "transportRule",
  forwardingRule: "transportRule",
  incomingForwardingRule: "transportRule",
  groupForwardingRule: "transportRule",
  incomingGroupForwardingRule: "transportRule",
  domainForwardingRule: "transportRule",
  incomingDomainForwardingRule: "transportRule",
  bypassRule: "transportRule",
};

/** Each object once, by the first of the writes that it took: a rule is made for the probe mailbox, then widened. */
function writtenIn(record: Exchange[], clouds: TestClouds): string[] {
  const first = new Map<string, string>();
  for (const exchange of record) {
    if (exchange.effect !== "write" || exchange.status >= 400) continue;
    const found = objectOf(exchange, clouds);
    if (found && !first.has(`${found.kind} ${found.name}`))
      first.set(`${found.kind} ${found.name}`, `${found.action} ${found.kind}`);
  }
  return [...first.values()].toSorted();
}

interface Written {
  action: "create" | "update" | "remove";
  kind: string;
  name: string;
}

function objectOf(exchange: Exchange, clouds: TestClouds): Written | undefined {
  const { cloud } = exchange;
  if (cloud === "arm") return inAzure(exchange);
  if (cloud === "exchange") return inExchange(exchange, clouds);
  if (cloud === "graph") return inGraph(exchange);
  // What is put into the vault is made once, with it; mail that proves is no resource.
  return undefined;
}

const azureKinds: Record<string, string> = {
  "microsoft.managedidentity/userassignedidentities": "vmIdentity",
  "microsoft.keyvault/vaults": "vault",
  "microsoft.authorization/roleassignments": "roleAssignment",
  "microsoft.network/publicipaddresses": "publicIpAddress",
  "microsoft.network/networksecuritygroups": "networkSecurityGroup",
  "microsoft.network/virtualnetworks": "virtualNetwork",
  "microsoft.network/networkinterfaces": "networkInterface",
  "microsoft.network/loadbalancers": "loadBalancer",
  "microsoft.compute/availabilitysets": "availabilitySet",
  "microsoft.compute/virtualmachines": "gatewayVm",
  "microsoft.compute/virtualmachines/runcommands": "guest",
  "microsoft.storage/storageaccounts": "diagnosticsAccount",
  "microsoft.sql/servers": "sqlServer",
  "microsoft.sql/servers/databases": "sqlDatabase",
  "microsoft.sql/servers/firewallrules": "sqlFirewallRules",
};

/** A PUT that answers 200 has changed what was there. */
function inAzure({ method, url, status }: Exchange): Written | undefined {
  const path = new URL(url).pathname.toLowerCase();
  const action = method === "DELETE" ? "remove" : status === 201 || status === 202 ? "create" : "update";
  const within = path.split("/providers/").at(-1) ?? "";
  if (!path.includes("/providers/")) return { action, kind: "resourceGroup", name: path };
  const [provider = "", ...parts] = within.split("/");
  const type = [provider, ...parts.filter((_, index) => index % 2 === 0)].join("/");
  const kind = azureKinds[type] ?? type;
  if (kind === "guest") return { action: "create", kind, name: path.replace(/\/runcommands\/.*/, "") };
  return { action, kind, name: path };
}

const cmdlets: Record<string, { kind: string; collection?: string }> = {
  TransportRule: { kind: "transportRule", collection: "exchange.transport-rules" },
  InboundConnector: { kind: "inboundConnector", collection: "exchange.inbound-connectors" },
  OutboundConnector: { kind: "outboundConnector", collection: "exchange.outbound-connectors" },
  HostedConnectionFilterPolicy: { kind: "connectionFilter" },
};

/** Identities may be names or Guids. */
function inExchange({ requestBody }: Exchange, clouds: TestClouds): Written | undefined {
  const { CmdletInput } = (requestBody ?? {}) as {
    CmdletInput?: { CmdletName: string; Parameters?: { Name?: string; Identity?: string } };
  };
  // A mail that arrived.
  if (!CmdletInput) return undefined;
  const [verb = "", noun = ""] = CmdletInput.CmdletName.split("-");
  const known = cmdlets[noun];
  if (!known) return { action: "update", kind: CmdletInput.CmdletName, name: "" };
  const { Name, Identity } = CmdletInput.Parameters ?? {};
  const identity = Name ?? Identity ?? "";
  const named = known.collection
    ? clouds.platform
        .collection<{ guid: string; name: string }>(known.collection)
        .values()
        .find(({ guid }) => guid === identity)
    : undefined;
  const action = ({ New: "create", Set: "update", Enable: "update", Disable: "update", Remove: "remove" } as const)[verb];
  // A validation only looks.
  if (action === undefined) return undefined;
  return { action, kind: known.kind, name: named?.name ?? identity };
}

function inGraph({ method, url, status }: Exchange): Written | undefined {
  const path = new URL(url).pathname;
  if (path.includes("/sendMail")) return undefined;
  const action = method === "DELETE" ? "remove" : status === 201 ? "create" : "update";
  return { action, kind: "webClientApplication", name: "" };
}

/** What a partner may ask for, each by chance. */
function changedSpec(body: SpecInput, random: () => number, chance: number): SpecInput {
  const by = <Value>(value: Value): Partial<Value> => (random() < chance ? value : {});
  const { gateway } = body;
  return {
    ...body,
    ...by({ pilot: { ...body.pilot, incoming: true } }),
    ...by({ forwarding: { largestMessageInMegabytes: 35 } }),
    gateway: {
      ...gateway,
      ...by({ regions: gateway.regions.map((region) => ({ ...region, machines: 2 })) }),
      ...by({ diagnostics: { replication: "LRS" as const } }),
      ...by({ services: { ...gateway.services, rdp: { sources: ["198.51.100.0/24"] } } }),
    },
  };
}

/** What strangers do: each of these by chance. */
async function drift({ platform }: TestClouds, random: () => number): Promise<void> {
  const collection = <Kind extends object>(name: string) => platform.collection<Kind>(name);
  const change = <Kind extends object>(name: string, changed: (one: Kind) => Kind | undefined): void => {
    for (const [key, one] of collection<Kind>(name).entries()) {
      if (random() >= 0.3) continue;
      const now = changed(one);
      if (now) collection<Kind>(name).set(key, now);
      else collection<Kind>(name).delete(key);
    }
  };
  change<TransportRule>("exchange.transport-rules", (rule) =>
    random() < 0.4 ? undefined : random() < 0.5 ? { ...rule, enabled: false } : { ...rule, mode: "Audit" },
  );
  change<Connector>("exchange.inbound-connectors", (connector) =>
    random() < 0.5 ? undefined : { ...connector, settings: { ...connector.settings, SenderIPAddresses: ["198.51.100.7"] } },
  );
  change<Connector>("exchange.outbound-connectors", (connector) => ({
    ...connector,
    settings: { ...connector.settings, SmartHosts: ["elsewhere.example"] },
  }));
  change<ConnectionFilterPolicy>("exchange.connection-filters", (policy) => ({ ...policy, allowed: [] }));
  interface Stored {
    body: { properties?: Record<string, unknown> };
  }
  change<Stored>("arm.microsoft.network/networksecuritygroups", (group) => ({
    ...group,
    body: { ...group.body, properties: { ...group.body.properties, securityRules: [] } },
  }));
}
