/** What onboarding would do, found out by reading only: each resource observed and compared with the same desired state that onboarding ensures. */
import { createHash } from "node:crypto";
import type { Finding, Plan, PlannedResource } from "../../shared/api/plan.ts";
import type { ActualOf, DesiredOf } from "../../shared/durable/resources.ts";
import type { Resource } from "../../shared/resources/resource.ts";
import type { Resources } from "../../shared/resources/index.ts";
import type { TenantRecord } from "../../shared/stores/tenants.ts";
import { checkAccess } from "./access.ts";
import * as desired from "../../shared/desired/state.ts";
import { mailRouteOf } from "../../shared/desired/mail-route.ts";
import { agentsOf, guestOf } from "./guest.ts";
import { onboardingSteps } from "./steps.ts";
import { targetOf } from "../../shared/desired/target.ts";
import type { OnboardingWorld } from "./world.ts";

export async function planOf(world: OnboardingWorld, tenant: TenantRecord): Promise<Plan> {
  const target = targetOf(tenant);
  const { spec, names } = target;
  const { entraTenantId, subscriptionId } = desired.place(target);
  const [consent, azure] = await Promise.all([checkAccess(world, spec, "consent"), checkAccess(world, spec, "azureAccess")]);
  const planned = createPlanned(world, Object.fromEntries(onboardingSteps(spec).map(({ name, title }) => [name, title])));

  const inAzure = planned.part(azure.state === "granted", "it can be read once the subscription lets us in");
  const group = await inAzure("resourceGroup", "resourceGroup", desired.resourceGroup(target));
  const identity = await inAzure("vmIdentity", "vmIdentity", group && desired.vmIdentity(target));
  const vault = await inAzure("vault", "vault", group && desired.vault(target));
  const ours = azure.state === "granted" ? (await world.azureAccess({ entraTenantId, subscriptionId })).principalId : undefined;
  const officer = await inAzure(
    "roleAssignment",
    "vaultAccessForGatehouse",
    vault && ours ? desired.vaultAccess(target, vault.id, ours, "Key Vault Secrets Officer") : undefined,
  );
  await inAzure(
    "roleAssignment",
    "vaultAccessForGateway",
    vault && identity && desired.vaultAccess(target, vault.id, identity.principalId, "Key Vault Secrets User"),
  );
  const secret = async (name: string) => (vault && officer ? world.vaults.latest(vault.url, name, entraTenantId) : undefined);
  const [loopGuid, adminPassword] = await Promise.all([secret("loop-guid"), secret("gateway-admin-password")]);
  const address = await inAzure("publicIpAddress", "publicIpAddress", group && desired.publicIpAddress(target));
  const security = await inAzure("networkSecurityGroup", "networkSecurityGroup", group && desired.networkSecurityGroup(target));
  const network = await inAzure("virtualNetwork", "virtualNetwork", security && desired.virtualNetwork(target, security.id));
  const networkInterface = await inAzure(
    "networkInterface",
    "networkInterface",
    network && security && address && desired.networkInterface(target, network.subnetId, security.id, address.id),
  );
  const vm = await inAzure(
    "gatewayVm",
    "gatewayVm",
    networkInterface &&
      identity &&
      adminPassword &&
      desired.gatewayVm(target, networkInterface.id, { identityId: identity.id, adminPassword }),
  );

  const consented = consent.state === "granted";
  const route = consented ? await mailRouteOf(world, desired.organization(target), desired.mainDomain(target)) : undefined;
  await inAzure(
    "guest",
    "guest",
    vm && identity && address && loopGuid && route
      ? desired.guest(target, { fqdn: address.fqdn, loopGuid, identityClientId: identity.clientId }, route, {
          ...(await guestOf(world, { partnerId: tenant.partnerId, tenantId: tenant.id })),
          agents: agentsOf(world),
        })
      : undefined,
  );

  const in365 = planned.part(consented, "it can be read once admin consent is granted");
  const egressIps = address && [address.ipAddress];
  await in365("webClientApplication", "webClientApplication", address && desired.webClientApplication(target, address));
  await in365("inboundConnector", "inboundConnector", egressIps && desired.inboundConnector(target, { egressIps }));
  await in365(
    "outboundConnector",
    "outboundConnector",
    address && desired.outboundConnector(target, { smartHosts: [address.fqdn] }),
  );
  if (spec.connectionFilter)
    await in365("connectionFilter", "connectionFilter", egressIps && desired.connectionFilter(target, { egressIps }));
  await in365("guardRule", "guardRule", egressIps && desired.guardRule(target, { egressIps }));
  await in365("approvalRule", "approvalRule", egressIps && loopGuid && desired.approvalRule(target, { egressIps, loopGuid }));
  await in365("forwardingRule", "forwardingRule", loopGuid && desired.forwardingRule(target, { loopGuid }, "pilot"));

  const findings = [...findingsOf("consent", consent), ...findingsOf("azureAccess", azure)];
  const hash = createHash("sha256")
    .update(JSON.stringify({ spec, names, resources: planned.resources, findings }))
    .digest("hex");
  return { tenantId: tenant.id, hash, resources: planned.resources, findings };
}

/** Collects what each read says. A resource whose desired state needs something that isn't there yet will be created with it. */
function createPlanned({ resources: known }: OnboardingWorld, titles: Record<string, string>) {
  const resources: PlannedResource[] = [];
  const part =
    (readable: boolean, otherwise: string) =>
    async <Kind extends keyof Resources>(
      kind: Kind,
      step: string,
      wanted: DesiredOf<Resources[Kind]> | undefined,
    ): Promise<ActualOf<Resources[Kind]> | undefined> => {
      const plan = (action: PlannedResource["action"], more: Partial<PlannedResource> = {}): undefined =>
        void resources.push({ kind, name: titles[step] ?? step, action, changes: [], ...more });
      if (!readable) return plan("unknown", { reason: otherwise });
      if (wanted === undefined) return plan("create");
      const resource = known[kind] as unknown as Resource<DesiredOf<Resources[Kind]>, ActualOf<Resources[Kind]>>;
      const observed = await resource.observe(wanted);
      if (observed.state === "absent") return plan("create");
      if (observed.state === "unknown") {
        const { code, message } = observed.reason;
        return plan(code === "ForeignObject" ? "blocked" : "unknown", { reason: `${code}: ${message}` });
      }
      const changes = resource.diff(wanted, observed.actual) as PlannedResource["changes"];
      plan(changes.length === 0 ? "none" : "update", { changes });
      return observed.actual;
    };
  return { resources, part };
}

const remedies = {
  consent: "open the link of GET /api/tenants/{tenantId}/consent as an administrator of the customer's Microsoft 365",
  azureAccess: "grant our application the named roles on the subscription: az role assignment create",
} as const;

const findingsOf = (wanted: keyof typeof remedies, access: Awaited<ReturnType<typeof checkAccess>>): Finding[] => {
  if (access.state === "granted") return [];
  if (access.state === "refused")
    return [
      {
        code: access.failure.code,
        severity: "error",
        message: access.failure.message,
        remedy: "correct the spec, then plan again",
      },
    ];
  const code = wanted === "consent" ? "ConsentRequired" : "AzureAccessMissing";
  return [{ code, severity: "warning", message: access.message, remedy: remedies[wanted] }];
};
