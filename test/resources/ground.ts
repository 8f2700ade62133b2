/** Where the conformance suite stands: simulated clouds, our real clients, one customer's ground in Azure, and a hand that changes things by itself. */
import type { DesiredOf } from "../../shared/durable/resources.ts";
import { type Azure, createAzure } from "../../shared/azure/client.ts";
import type { Place } from "../../shared/azure/place.ts";
import { systemClock } from "../../shared/clock.ts";
import { createCredentials, type Credentials } from "../../shared/entra/credentials.ts";
import { createResolver, type DnsResolver } from "../../shared/dns/resolver.ts";
import { createExchange } from "../../shared/exchange/client.ts";
import { createGraph, type Graph } from "../../shared/graph/client.ts";
import { ensuring } from "../../shared/resources/ensure.ts";
import { createResources, type Resources } from "../../shared/resources/index.ts";
import type { Begun, Done, Owner, Resource } from "../../shared/resources/resource.ts";
import { servicesSchema } from "../../shared/tenants/spec.ts";
import { type Certificates, createCertificates } from "../../shared/vault/certificates.ts";
import { createVaults, type Vaults } from "../../shared/vault/client.ts";
import type { SecretReference } from "../../shared/vault/reference.ts";
import { startClouds, type TestClouds } from "../support/clouds.ts";
import { singleGatewayNames } from "../support/names.ts";
import { exchangeOf, type ExchangeCaller } from "../support/exchange.ts";

export const owner: Owner = { partnerId: "northwind", tenantId: "contoso" };
export const loopHeader = "X-iqsuite-process";
export const egressIps = ["203.0.113.7", "203.0.113.8"];
/** What must be seen nowhere. */
export const secrets = { loopGuid: "657a43d3-f52a-4969-93aa-60cfc012e1d6", adminPassword: "Correct-Horse-7-Battery" };
const entraTenantId = "c0ffee00-0000-4000-8000-000000000001";
const subscriptionId = "c0ffee00-0000-4000-8000-0000000000a1";
export const names = singleGatewayNames(owner, "westeurope");
export const place: Place = { owner, entraTenantId, subscriptionId, resourceGroup: names.resourceGroup, region: "westeurope" };
export const services = servicesSchema.parse({ rdp: { sources: ["203.0.113.0/24"] }, https: {} });

export type Json = Record<string, unknown>;

/** Azure Resource Manager as an administrator uses it, who knows nothing of our clients. */
export interface ArmByHand {
  get(path: string): Promise<Json>;
  /** Reads, changes and writes back; `undefined` properties are left out. */
  change(path: string, changed: (body: Json) => Json): Promise<void>;
  put(path: string, body: Json): Promise<void>;
  tag(path: string, tags: Record<string, string>): Promise<void>;
  delete(path: string): Promise<void>;
  /** Names of what is in a collection. */
  namesIn(path: string): Promise<string[]>;
}

export interface World {
  clouds: TestClouds;
  azure: Azure;
  credentials: Credentials;
  vaults: Vaults;
  certificates: Certificates;
  graph: Graph;
  resolver: DnsResolver;
  resources: Resources;
  arm: ArmByHand;
  /** The customer's ground, made at its first use. */
  ground(): Promise<Ground>;
  /** A new Microsoft 365 organisation that has consented; a kind has one of its own, since names there are fixed. */
  organization(): Promise<string>;
  exchange(organization: string): Promise<ExchangeCaller>;
  ensure<Kind extends keyof Resources>(kind: Kind, desired: DesiredOf<Resources[Kind]>): Promise<unknown>;
  /** As an orchestration waits, without its timers. */
  finish(written: Done | Begun): Promise<void>;
}

/** What the resources of a gateway stand on: a second address, interface and so on lie beside those that a kind's row makes. */
export interface Ground {
  vault: { id: string; url: string };
  identity: { id: string; principalId: string; clientId: string };
  loopGuid: SecretReference;
  adminPassword: SecretReference;
  networkSecurityGroupId: string;
  subnetId: string;
  /** Each may be on one interface only. */
  addressIds: [forInterface: string, forMachine: string, forGuest: string];
}

export async function startWorld(): Promise<World> {
  const clouds = await startClouds();
  await clouds.organize({ tenantId: entraTenantId, domains: ["contoso.example"], subscriptionId });
  const { environment, application } = clouds;
  const credentials = createCredentials(environment, application);
  const azure = createAzure({ environment, credentials });
  const vaults = createVaults({ environment, credentials });
  const certificates = createCertificates({ environment, credentials, clock: systemClock });
  const graph = createGraph({ environment, credentials });
  const exchange = createExchange({ environment, credentials });
  const resolver = createResolver({ servers: environment.dnsServers, timeoutInSeconds: 1 });
  const resources = createResources({ azure, vaults, graph, exchange, resolver, certificates });
  const callers = new Map<string, Promise<ExchangeCaller>>();
  let organizations = 0;
  let ground: Promise<Ground> | undefined;

  const finish: World["finish"] = async (written) => {
    while (written.state === "begun") {
      const { operationUrl } = written;
      const door = certificates.ownsOperation(operationUrl) ? certificates : azure;
      const polled = await door.pollOperation({ entraTenantId, operationUrl });
      if (polled.status === "succeeded") return;
      if (polled.status === "failed") throw new Error(`${polled.error.code}: ${polled.error.message}`);
    }
  };

  const world: World = {
    clouds,
    azure,
    credentials,
    vaults,
    certificates,
    graph,
    resolver,
    resources,
    arm: armByHand(clouds, credentials),
    ground: () => (ground ??= makeGround(world)),
    async organization() {
      const tenantId = `c0ffee00-0000-4000-8000-${String(++organizations).padStart(12, "b")}`;
      const domain = `contoso${organizations}.example`;
      await clouds.organize({ tenantId, domains: [domain], mailboxes: [`probe@${domain}`, `sales@${domain}`] });
      await clouds.consent(tenantId);
      return tenantId;
    },
    exchange(organization) {
      const caller = callers.get(organization) ?? exchangeOf(clouds, organization);
      callers.set(organization, caller);
      return caller;
    },
    async ensure(kind, desired) {
      const resource = resources[kind] as unknown as Resource<unknown, unknown>;
      for (let round = 0; round < 4; round++) {
        const ensured = await ensuring(resource, async () => undefined)(desired);
        if ("actual" in ensured) return ensured.actual;
        await finish(ensured.begun);
      }
      throw new Error(`the ${kind} does not settle`);
    },
    finish,
  };
  return world;
}

async function makeGround(world: World): Promise<Ground> {
  const { ensure, vaults } = world;
  const idOf = async (made: Promise<unknown>): Promise<string> => ((await made) as { id: string }).id;
  await ensure("resourceGroup", place);
  const vault = (await ensure("vault", { ...place, name: names.vault })) as Ground["vault"];
  const identity = (await ensure("vmIdentity", { ...place, name: names.vmIdentity })) as Ground["identity"];
  const principalId = await ownPrincipalOf(world);
  const grant = { owner, entraTenantId, subscriptionId, scope: vault.id };
  await ensure("roleAssignment", { ...grant, principalId, role: "Key Vault Secrets Officer" });
  await ensure("roleAssignment", { ...grant, principalId: identity.principalId, role: "Key Vault Secrets User" });
  const write = (name: string, value: string) => vaults.write({ vaultUrl: vault.url, name, value, entraTenantId });
  const loopGuid = await write("loop-guid", secrets.loopGuid);
  const adminPassword = await write("admin-password", secrets.adminPassword);
  const networkSecurityGroupId = await idOf(ensure("networkSecurityGroup", { ...place, name: "ground-security", services }));
  const network = {
    ...place,
    name: "ground-network",
    addressPrefix: "10.20.0.0/24",
    subnet: { name: names.subnet, addressPrefix: "10.20.0.0/26" },
    networkSecurityGroupId,
  };
  const { subnetId } = (await ensure("virtualNetwork", network)) as { subnetId: string };
  const address = (name: string) => idOf(ensure("publicIpAddress", { ...place, name, dnsLabel: `contoso-${name}` }));
  const addressIds: Ground["addressIds"] = [await address("ground-1"), await address("ground-2"), await address("ground-3")];
  return { vault, identity, loopGuid, adminPassword, networkSecurityGroupId, subnetId, addressIds };
}

/** Object id of our own service principal in the subscription's tenant, as its token says. */
export async function ownPrincipalOf({ credentials, azure }: Pick<World, "credentials" | "azure">): Promise<string> {
  const token = await credentials.inTenant(entraTenantId).getToken(`${azure.environment.resourceManager.audience}/.default`);
  const [, claims = ""] = (token?.token ?? "").split(".");
  return (JSON.parse(Buffer.from(claims, "base64url").toString("utf8")) as { oid: string }).oid;
}

/** Versions that Azure serves; by hand, so that it doesn't follow our SDKs. */
const apiVersions: [part: RegExp, version: string][] = [
  [/Microsoft\.Storage/, "2026-09-01"],
  [/\/providers\/Microsoft\.Insights\/diagnosticSettings/i, "2021-05-01-preview"],
  [/\/providers\/Microsoft\.Insights\//i, "2023-03-11"],
  [/\/providers\/Microsoft\.OperationalInsights\//i, "2023-09-01"],
  [/\/providers\/Microsoft\.Authorization\//i, "2022-04-01"],
  [/\/providers\/Microsoft\.Network\/dnsZones/i, "2018-05-01"],
  [/\/providers\/Microsoft\.Network\//i, "2026-01-01"],
  [/\/providers\/Microsoft\.Compute\//i, "2026-04-01"],
  [/\/providers\/Microsoft\.Sql\//i, "2023-08-01"],
  [/\/providers\/Microsoft\.KeyVault\//i, "2026-02-01"],
  [/\/providers\/Microsoft\.MarketplaceOrdering\//i, "2021-01-01"],
  [/\/providers\/Microsoft\.ManagedIdentity\//i, "2024-11-30"],
  [/./, "2025-04-01"],
];

function armByHand(clouds: TestClouds, credentials: Credentials): ArmByHand {
  const { endpoint, audience } = clouds.environment.resourceManager;
  async function send(method: string, path: string, body?: Json): Promise<Json> {
    const token = await credentials.inTenant(entraTenantId).getToken(`${audience}/.default`);
    const version = apiVersions.find(([part]) => part.test(path))?.[1] ?? "";
    const response = await fetch(`${endpoint}${path}?api-version=${version}`, {
      method,
      headers: { authorization: `Bearer ${token?.token}`, "content-type": "application/json" },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path} answered ${response.status}: ${text}`);
    const monitor = response.headers.get("azure-asyncoperation");
    for (let state = monitor === null ? "Succeeded" : "InProgress"; !/succeeded/i.test(state); ) {
      const polled = await fetch(monitor ?? "", { headers: { authorization: `Bearer ${token?.token}` } });
      state = String(((await polled.json()) as Json)["status"]);
      if (/failed|canceled/i.test(state)) throw new Error(`${method} ${path} ended as ${state}`);
    }
    return text === "" ? {} : (JSON.parse(text) as Json);
  }
  return {
    get: (path) => send("GET", path),
    change: async (path, changed) => void (await send("PUT", path, changed(await send("GET", path)))),
    put: async (path, body) => void (await send("PUT", path, body)),
    tag: async (path, tags) => void (await send("PATCH", path, { tags })),
    delete: async (path) => void (await send("DELETE", path)),
    namesIn: async (path) => ((await send("GET", path))["value"] as { name: string }[]).map(({ name }) => name),
  };
}
