/** What onboarding would do, found out by walking the same runbook with hands that only look. */
import { createHash } from "node:crypto";
import type { Finding, Plan, PlannedResource } from "../../shared/api/plan.ts";
import type { AzureAccess } from "../../shared/azure/access.ts";
import { type SizeLists, sizeLists } from "../../shared/azure/sizes.ts";
import type { ActualOf } from "../../shared/durable/resources.ts";
import { remembering } from "../../shared/exchange/remembered.ts";
import type { Resource } from "../../shared/resources/resource.ts";
import type { Resources } from "../../shared/resources/index.ts";
import type { TenantRecord } from "../../shared/stores/tenants.ts";
import type { IssuedCertificate } from "../../shared/vault/certificates.ts";
import type { SecretReference } from "../../shared/vault/reference.ts";
import { certificateFindings } from "./certificate-activities.ts";
import { checkAccess } from "./access.ts";
import { type Ground, type GuestGeneration, home, mailRouteWanted, otherInboundConnector } from "../../shared/desired/state.ts";
import { type MailRoute, mailRouteOf } from "../../shared/desired/mail-route.ts";
import { narrowed, type Standing } from "../../shared/desired/standing.ts";
import { standingOf, targetOf } from "../../shared/desired/target.ts";
import { dnsFindings } from "./dns-findings.ts";
import { agentsOf, guestOf } from "./guest.ts";
import { dropMachines, drops, moveSmartHosts, widely } from "./moves.ts";
import { begin, type Begun, buildAndConnect, type Hands, type Installation, prepareGround } from "./runbook.ts";
import { type Placement, placementOf, rolePlacementOf } from "./placement.ts";
import { preflightOf } from "./preflight.ts";
import { chosenSecrets, tenantSecrets } from "./secrets.ts";
import { onboardingSteps } from "./steps.ts";
import { lookAround } from "./surroundings.ts";
import { secretsForbidden, warningsOf } from "./warnings.ts";
import type { OnboardingWorld } from "./world.ts";

export async function planOf(world: OnboardingWorld, tenant: TenantRecord): Promise<Plan> {
  const target = targetOf(tenant);
  const { spec, names } = target;
  const [consent, azure] = await Promise.all([checkAccess(world, spec, "consent"), checkAccess(world, spec, "azureAccess")]);
  const found: PlannedResource[] = [];
  const readable = { consented: consent.state === "granted", azure: azure.state === "granted" };
  const sizes = sizeLists(world.azure, home(target));
  const standing = standingOf(tenant);
  const around = readable.consented ? await lookAround(world, tenant) : undefined;
  const looking = around ? { ...world, resources: world.resourcesOver(remembering(world.exchange, around.remembered)) } : world;
  const hands = lookingHands(looking, tenant, { readable, sizes, standing, resources: found });
  await walked(runbook(hands, { ...target, piloted: true, live: tenant.stage === "live", ...(standing && { standing }) }));
  const planned = inOrder(found, onboardingSteps(spec, standing, tenant.stage === "live"));

  const checks = [
    ...(readable.azure ? await preflightOf(world, target, readable.consented, sizes) : []),
    ...(around?.checks ?? []),
  ];
  const findings = [
    ...findingsOf("consent", consent),
    ...findingsOf("azureAccess", azure),
    ...secretsForbidden(tenant),
    ...(await warningsOf(world.azure, target, planned)),
    ...(await certificateFindings(
      world,
      target,
      planned.some(({ kind, action }) => kind === "vault" && action !== "create") ? world.vaults.urlOf(names.vault) : undefined,
    )),
    ...(around?.findings ?? []),
    ...(await dnsFindings(world, target, readable.consented)),
  ];
  const hash = createHash("sha256")
    .update(JSON.stringify({ spec, names, resources: planned, checks, findings }))
    .digest("hex");
  return { tenantId: tenant.id, hash, resources: planned, checks, findings };
}

/** Whose mail runs in the end is what the plan shows: the narrower scope before the proof is only a step on the way. */
function* runbook(hands: Hands<Promise<unknown>>, tenant: Installation) {
  const wide = widely(tenant);
  const [all] = yield* hands.together<[Ground]>(begin(prepareGround, { tenant: wide }, "ground"));
  yield* buildAndConnect(hands, wide, all);
  const ground = tenant.standing ? narrowed(all, tenant.names) : all;
  if (ground.certificate) yield* hands.drop("inboundConnector", "otherConnector", otherInboundConnector(tenant, ground));
  if (tenant.standing?.smartHosts) yield* moveSmartHosts.walk(hands, { tenant, ground });
  if (drops(tenant)) yield* dropMachines.walk(hands, { tenant, ground: all });
}

/** As the steps of an onboarding are shown: chapters are walked in another order than a reader expects. */
function inOrder(found: PlannedResource[], steps: { title: string }[]): PlannedResource[] {
  const titles = steps.map(({ title }) => title);
  return found.toSorted((one, other) => titles.indexOf(one.name) - titles.indexOf(other.name));
}

async function walked(walk: Generator<Promise<unknown>, void, unknown>): Promise<void> {
  let next = walk.next();
  while (next.done !== true) next = walk.next(await next.value);
}

/** What a resource that isn't there yet will only tell when it is: a name that can't exist (RFC 2606). */
const LATER = "known-once-made.invalid";
const later = (): unknown => new Proxy({}, { get: () => LATER });
const laterSecret: SecretReference = { vaultUrl: `https://${LATER}`, name: "known-once-made", version: "0" };
const laterCertificate = { thumbprint: "0".repeat(40), secret: laterSecret, earlier: [], forClients: true };
const needsLater = (wanted: unknown): boolean => JSON.stringify(wanted).includes(LATER);

/** The others are in Azure. */
const in365 = new Set<string>([
  "webClientApplication",
  "powerShellApplication",
  "exchangeWebServicesApplication",
  "mailboxAccess",
  "exchangeWebServicesPolicy",
  "exchangePrincipal",
  "managementRole",
  "roleGroup",
  "inboundConnector",
  "outboundConnector",
  "connectionFilter",
  "guardRule",
  "approvalRule",
  "stripRule",
  "forwardingRule",
  "groupForwardingRule",
  "incomingForwardingRule",
  "incomingGroupForwardingRule",
  "domainForwardingRule",
  "incomingDomainForwardingRule",
] satisfies (keyof Resources)[]);

/** What replacing interrupts, where a person could not know. */
const interruptedBy: Partial<Record<keyof Resources, string>> = {
  gatewayVm:
    "the machine would go and be made anew: until then no mail passes it, and what waits in its queue must have left first",
  publicIpAddress: "the address would be another one: connectors, rules, SPF and blocklists name it",
  vault: "its secrets would have to move first: the loop GUID is in rules and machines",
  virtualNetwork: "all machines in it would have to go first",
};

interface Looking {
  readable: { consented: boolean; azure: boolean };
  sizes: SizeLists;
  standing: Standing | undefined;
  resources: PlannedResource[];
}

/** Hands that only look. A resource whose desired state needs something that isn't there yet will be created with it. */
function lookingHands(
  world: OnboardingWorld,
  tenant: TenantRecord,
  { readable, sizes, standing, resources }: Looking,
): Hands<Promise<unknown>> {
  const target = targetOf(tenant);
  const titles = Object.fromEntries(
    onboardingSteps(target.spec, standing, tenant.stage === "live").map(({ name, title }) => [name, title]),
  );
  const { entraTenantId } = home(target);

  async function look(kind: keyof Resources, step: string, wanted: unknown, or?: "drop"): Promise<unknown> {
    const plan = (action: PlannedResource["action"], more: Partial<PlannedResource> = {}): unknown => {
      resources.push({ kind, name: titles[step] ?? step, action, changes: [], ...more });
      return later();
    };
    if (!(in365.has(kind) ? readable.consented : readable.azure))
      return plan("unknown", {
        reason: in365.has(kind)
          ? "it can be read once admin consent is granted"
          : "it can be read once the subscription lets us in",
      });
    if (needsLater(wanted) && or !== "drop") return plan("create");
    const resource = world.resources[kind] as unknown as Resource<unknown, unknown>;
    const observed = await resource.observe(wanted);
    if (observed.state === "absent") return or === "drop" ? undefined : plan("create");
    if (observed.state === "unknown") {
      const { code, message } = observed.reason;
      return plan(code === "ForeignObject" ? "blocked" : "unknown", { reason: `${code}: ${message}` });
    }
    if (or === "drop") return plan("remove");
    const changes = resource.diff(wanted, observed.actual) as PlannedResource["changes"];
    if (changes.some(({ path }) => resource.fixed?.(path)))
      plan("replace", { changes, reason: interruptedBy[kind] ?? "it and all that depends on it would go and be made anew" });
    else plan(changes.length === 0 ? "none" : "update", { changes });
    return observed.actual;
  }

  return {
    *ensure(kind, step, wanted) {
      return (yield look(kind, step, wanted)) as ActualOf<Resources[typeof kind]>;
    },
    *ensureIfPossible(kind, step, wanted) {
      yield look(kind, step, wanted);
    },
    *remove() {
      // A plan makes nothing, so nothing it made can be in the way.
    },
    *drop(kind, step, unwanted) {
      yield look(kind, step, unwanted, "drop");
    },
    *proveSmartHosts() {
      // Nothing was changed that could be proven.
    },
    *drained() {
      // Nothing is taken away.
    },
    *forget() {
      // Nothing is taken away.
    },
    *placement(region) {
      const size = target.spec.gateway.size ?? LATER;
      const anywhere = {
        availabilitySet: false,
        missing: [],
        machines: (target.names.regions[region]?.machines ?? []).map(() => [{ size }]),
      };
      if (!readable.azure) return anywhere;
      // A region that has no room for them is told by the checks; the rest of the plan stands.
      return (yield placementOf(world.azure, target, region, sizes).catch(() => anywhere)) as Placement;
    },
    *rolePlacement(role) {
      const anywhere = { availabilitySet: false, missing: [], machines: [[{ size: LATER }]] };
      if (!readable.azure) return anywhere;
      return (yield rolePlacementOf(world.azure, target, role, sizes).catch(() => anywhere)) as Placement;
    },
    *ownPrincipal(subscription) {
      if (!readable.azure) return LATER;
      return ((yield world.azureAccess(subscription)) as AzureAccess).principalId ?? LATER;
    },
    *secret({ vaultUrl, purpose }) {
      const chosen = chosenSecrets(tenant)[purpose];
      if (chosen) return chosen;
      const allowed = resources.some(({ name, action }) => name === titles["vaultAccessForGatehouse"] && action === "none");
      if (vaultUrl === LATER || !allowed) return laterSecret;
      const found = world.vaults.first(vaultUrl, tenantSecrets[purpose].name, entraTenantId);
      return ((yield found) as SecretReference | undefined) ?? laterSecret;
    },
    *namedSecrets({ vaultUrl, names }) {
      const allowed = resources.some(({ name, action }) => name === titles["vaultAccessForGatehouse"] && action === "none");
      const references: Record<string, SecretReference> = {};
      for (const name of names) {
        const known = vaultUrl !== LATER && allowed ? world.vaults.newest(vaultUrl, name, entraTenantId) : undefined;
        references[name] = (known && ((yield known) as SecretReference | undefined)) ?? laterSecret;
      }
      return references;
    },
    *certificate(wanted) {
      const allowed = resources.some(({ name, action }) => name === titles["certificateAccess"] && action === "none");
      const found = yield look(
        "tlsCertificate",
        "tlsCertificate",
        allowed ? wanted : { ...wanted, vaultUrl: laterSecret.vaultUrl },
      );
      return resources.at(-1)?.action === "none" ? (found as IssuedCertificate) : laterCertificate;
    },
    *showsCertificate() {
      // Machines are looked at when they have it.
    },
    *mailRoute() {
      if (!readable.consented) return { smartHost: LATER, relayFrom: [] };
      return (yield mailRouteOf(world, mailRouteWanted(target))) as MailRoute;
    },
    *guestGeneration() {
      return { ...((yield guestOf(world, target.work)) as GuestGeneration), agents: agentsOf(world) };
    },
    *together<Results extends unknown[]>(...chapters: { [Index in keyof Results]: Begun<Results[Index]> }) {
      const results: unknown[] = [];
      for (const chapter of chapters as Begun<unknown>[]) results.push(yield* chapter.walk(this));
      return results as Results;
    },
  };
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
