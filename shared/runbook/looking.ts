/** What stands of a tenant beside what the runbook wants, found out by walking it with hands that only look. */
import { settledStage } from "../desired/bypass.ts";
import type { PlannedAction } from "../api/plan.ts";
import { adoptedOf, type AsFound, asFoundTarget } from "../desired/adopted.ts";
import type { AzureAccess } from "../azure/access.ts";
import { type SizeLists, sizeLists } from "../azure/sizes.ts";
import { type MailRoute, mailRouteOf } from "../desired/mail-route.ts";
import { narrowed, type Standing } from "../desired/standing.ts";
import { type GuestGeneration, home, mailRouteWanted, otherInboundConnector } from "../desired/state.ts";
import { otherLoopGuidOf, standingOf, type Target, targetOf } from "../desired/target.ts";
import type { ActualOf } from "../durable/resources.ts";
import { typical, typicalSeconds } from "../plans/durations.ts";
import { ruleKinds } from "../exchange/rule-kinds.ts";
import { remembering } from "../exchange/remembered.ts";
import type { Resources } from "../resources/index.ts";
import type { PropertyChange, Resource } from "../resources/resource.ts";
import type { TenantRecord } from "../stores/tenants.ts";
import type { Issued } from "../desired/certificate.ts";
import type { IssuedCertificate } from "../vault/certificates.ts";
import { IN_NO_VAULT, type SecretReference } from "../vault/reference.ts";
import { type Access, checkAccess } from "./access.ts";
import { handsForAdopted, handsKeepingLoopGuid, type NotManaged } from "./adopted-hands.ts";
import { agentsOf, guestOf } from "./guest.ts";
import { dropMachines, drops, moveSmartHosts, widely } from "./moves.ts";
import { type Placement, placementOf, rolePlacementOf } from "./placement.ts";
import { type Begun, closeWays, type Hands, install, type Installation, type Walk } from "./runbook.ts";
import { chosenSecrets, tenantSecrets } from "./secrets.ts";
import { type LookAround, lookAround } from "./surroundings.ts";
import type { RunbookWorld } from "./world.ts";

/** One thing that the runbook names, and what a walker who makes things true would do there. */
export interface Seen {
  kind: keyof Resources;
  /** As in the operation's step graph. */
  step: string;
  wanted: unknown;
  action: PlannedAction;
  changes: PropertyChange[];
  /** What is there, where something is. */
  actual?: unknown;
  /** Why it is blocked or unknown, or what replacing it would interrupt. */
  reason?: string;
  /** What is wanted can be told in full only when something else is made. */
  unmade?: boolean;
  /** On the critical path up to here and with it, in typical seconds. */
  endsAfter: number;
}

/** What a walk has seen so far. */
export interface Sight {
  /** In the walk's order. */
  seen: Seen[];
  /** What doing it would typically take, on the critical path. */
  seconds: number;
}

export interface Look extends Sight {
  target: Target;
  standing: Standing | undefined;
  consent: Access;
  azure: Access;
  sizes: SizeLists;
  /** What surrounds the mail flow in the organisation, once we may read it. */
  around: LookAround | undefined;
  /** What an installation that a person made doesn't have. */
  notManaged: NotManaged[];
}

/** How an installation that a person made is looked at: as it was found, else as what an onboarding would make of it. */
export interface TakenOverView {
  asFound?: AsFound | undefined;
}

/** Reads only. Exchange Online is asked in one batch, for what its objects are and for what surrounds them. */
export async function lookAt(world: RunbookWorld, tenant: TenantRecord, { asFound }: TakenOverView = {}): Promise<Look> {
  const target = asFound ? asFoundTarget(targetOf(tenant), asFound) : targetOf(tenant);
  const [consent, azure] = await Promise.all([
    checkAccess(world, target.spec, "consent"),
    checkAccess(world, target.spec, "azureAccess"),
  ]);
  const readable = { consented: consent.state === "granted", azure: azure.state === "granted" };
  const sizes = sizeLists(world.azure, home(target));
  const standing = asFound ? undefined : standingOf(tenant);
  const around = readable.consented ? await lookAround(world, tenant) : undefined;
  const looking = around ? { ...world, resources: world.resourcesOver(remembering(world.exchange, around.remembered)) } : world;
  const sight: Sight = { seen: [], seconds: 0 };
  const notManaged: NotManaged[] = [];
  const hands = lookingHands(looking, tenant, { readable, sizes, sight });
  const adopted = adoptedOf(tenant);
  const own = asFound
    ? handsForAdopted(hands, asFound, (one) => notManaged.push(one))
    : adopted
      ? handsKeepingLoopGuid(hands, adopted)
      : hands;
  const live = settledStage(tenant) === "live";
  await walked(runbook(own, { ...target, piloted: true, live, ...(standing && { standing }), ...otherLoopGuidOf(tenant) }));
  return { target, standing, consent, azure, sizes, around, notManaged, ...sight };
}

/** Whose mail runs in the end is what is looked at: the narrower scope before the proof is only a step on the way. */
function* runbook(hands: Hands<Promise<unknown>>, tenant: Installation) {
  const wide = widely(tenant);
  const { ground: all } = yield* install(hands, wide);
  const ground = tenant.standing ? narrowed(all, tenant.names) : all;
  if (ground.certificate) yield* hands.drop("inboundConnector", "otherConnector", otherInboundConnector(tenant, ground));
  yield* closeWays(hands, tenant, ground);
  if (tenant.standing?.smartHosts) yield* moveSmartHosts.walk(hands, { tenant, ground });
  if (drops(tenant)) yield* dropMachines.walk(hands, { tenant, ground: all });
}

/** Goes on with what each look has found. */
export async function walked(walk: Walk<Promise<unknown>, unknown>): Promise<void> {
  let next = walk.next();
  while (next.done !== true) next = walk.next(await next.value);
}

/** What a resource that isn't there yet will only tell when it is: a name that can't exist (RFC 2606). */
const LATER = "known-once-made.invalid";
const later = (): unknown => new Proxy({}, { get: () => LATER });
const laterSecret: SecretReference = { vaultUrl: `https://${LATER}`, name: "known-once-made", version: "0" };
const laterCertificate: Issued = {
  thumbprint: "0".repeat(40),
  secret: laterSecret,
  earlier: [],
  forClients: true,
  notBefore: new Date(0).toISOString(),
  notAfter: new Date(0).toISOString(),
};
const needsLater = (wanted: unknown): boolean => JSON.stringify([wanted]).includes(LATER);

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
  ...ruleKinds,
] satisfies (keyof Resources)[]);

/** What replacing interrupts, where a person could not know. */
const interruptedBy: Partial<Record<keyof Resources, string>> = {
  gatewayVm:
    "the machine would go and be made anew: until then no mail passes it, and what waits in its queue must have left first",
  publicIpAddress: "the address would be another one: connectors, rules, SPF and blocklists name it",
  vault: "its secrets would have to move first: the loop GUID is in rules and machines",
  virtualNetwork: "all machines in it would have to go first",
};

interface Readable {
  consented: boolean;
  azure: boolean;
}

interface Looking {
  readable: Readable;
  sizes: SizeLists;
  sight: Sight;
}

/** One look, told to whoever walks; gives what is there, or stands in for what will be. `or`: what is there is to go. */
export type LookAtOne = (kind: keyof Resources, step: string, wanted: unknown, or?: "drop") => Promise<unknown>;

export const looksInto =
  (resources: Resources, sight: Sight, readable: Readable = { consented: true, azure: true }): LookAtOne =>
  async (kind, step, wanted, or) => {
    const told = (action: Seen["action"], more: Partial<Seen> = {}): unknown => {
      sight.seconds += typicalSeconds(kind, action);
      sight.seen.push({ kind, step, wanted, action, changes: [], endsAfter: sight.seconds, ...more });
      return later();
    };
    if (!(in365.has(kind) ? readable.consented : readable.azure))
      return told("unknown", {
        reason: in365.has(kind)
          ? "it can be read once admin consent is granted"
          : "it can be read once the subscription lets us in",
      });
    const unmade = or !== "drop" && needsLater(wanted);
    const more = unmade ? { unmade } : {};
    // In a vault that isn't there yet nothing can be.
    if (unmade && needsLater((wanted as { vaultUrl?: string }).vaultUrl)) return told("create", more);
    const resource = resources[kind] as unknown as Resource<unknown, unknown>;
    const observed = await resource.observe(wanted);
    if (observed.state === "absent") return or === "drop" ? undefined : told("create", more);
    if (observed.state === "unknown") {
      const { code, message } = observed.reason;
      if (unmade && code !== "ForeignObject") return told("create", more);
      return told(code === "ForeignObject" ? "blocked" : "unknown", { reason: `${code}: ${message}` });
    }
    if (or === "drop") return told("remove", { actual: observed.actual });
    const changes = resource.diff(wanted, observed.actual);
    if (changes.some(({ path, to }) => resource.fixed?.(path) && !needsLater(to)))
      told("replace", {
        changes,
        actual: observed.actual,
        reason: interruptedBy[kind] ?? "it and all that depends on it would go and be made anew",
      });
    else told(changes.length === 0 ? "none" : "update", { changes, actual: observed.actual, ...more });
    return observed.actual;
  };

/** Hands that only look. A resource whose desired state needs something that isn't there yet will be created with it. */
function lookingHands(world: RunbookWorld, tenant: TenantRecord, { readable, sizes, sight }: Looking): Hands<Promise<unknown>> {
  const target = targetOf(tenant);
  const { entraTenantId } = home(target);
  const { seen } = sight;
  const stands = (of: string): boolean => seen.some(({ step, action }) => step === of && action === "none");

  const look = looksInto(world.resources, sight, readable);

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
    *settled() {
      sight.seconds += typical.propagation;
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
    *cleanAddress() {
      throw new Error("which one will be clean shows when it is made");
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
      const allowed = stands("vaultAccessForGatehouse");
      const unmade = purpose === "loopGuid" && adoptedOf(tenant) ? IN_NO_VAULT : laterSecret;
      if (vaultUrl === LATER || !allowed) return unmade;
      const found = world.vaults.first(vaultUrl, tenantSecrets[purpose].name, entraTenantId);
      return ((yield found) as SecretReference | undefined) ?? unmade;
    },
    *namedSecrets({ vaultUrl, names }) {
      const allowed = stands("vaultAccessForGatehouse");
      const references: Record<string, SecretReference> = {};
      for (const name of names) {
        const known = vaultUrl !== LATER && allowed ? world.vaults.newest(vaultUrl, name, entraTenantId) : undefined;
        references[name] = (known && ((yield known) as SecretReference | undefined)) ?? laterSecret;
      }
      return references;
    },
    *certificate(wanted) {
      const allowed = stands("certificateAccess");
      const found = yield look(
        "tlsCertificate",
        "tlsCertificate",
        allowed ? wanted : { ...wanted, vaultUrl: laterSecret.vaultUrl },
      );
      return seen.at(-1)?.action === "none" ? (found as IssuedCertificate) : laterCertificate;
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
    begunWith: () => true,
    abreast: atOnce,
    *together<Results extends unknown[]>(...chapters: { [Index in keyof Results]: Begun<Results[Index]> }) {
      const walks = (chapters as Begun<unknown>[]).map((chapter) => chapter.walk(this));
      return (yield* atOnce(...walks)) as Results;
    },
    *beside<Results extends unknown[], Result>(
      chapters: { [Index in keyof Results]: Begun<Results[Index]> },
      walk: (
        ...ends: { [Index in keyof Results]: () => Walk<Promise<unknown>, Results[Index]> }
      ) => Walk<Promise<unknown>, Result>,
    ) {
      const began = sight.seconds;
      const ends: (() => Walk<Promise<unknown>, unknown>)[] = [];
      for (const chapter of chapters as Begun<unknown>[]) {
        sight.seconds = began;
        const result = yield* chapter.walk(this);
        const ended = sight.seconds;
        ends.push(function* () {
          sight.seconds = Math.max(sight.seconds, ended);
          return result;
        });
      }
      sight.seconds = began;
      const result = yield* walk(...(ends as { [Index in keyof Results]: () => Walk<Promise<unknown>, Results[Index]> }));
      for (const end of ends) yield* end();
      return result;
    },
  };

  /** As long as the longest of them takes. */
  function* atOnce<Results extends unknown[]>(
    ...walks: { [Index in keyof Results]: Walk<Promise<unknown>, Results[Index]> }
  ): Walk<Promise<unknown>, Results> {
    const results: unknown[] = [];
    const began = sight.seconds;
    let ends = began;
    for (const walk of walks) {
      sight.seconds = began;
      results.push(yield* walk);
      ends = Math.max(ends, sight.seconds);
    }
    sight.seconds = ends;
    return results as Results;
  }
}
