/**
 * What an onboarding makes true, chapter by chapter in the manual's order where that order protects mail. It is walked by two: the
 * orchestrator's hands make each resource true, the plan's hands only look at it, so that a plan says what an onboarding does.
 */
import type { MachineNames, MachineRole, RegionNames } from "../azure/names.ts";
import { machineBeside, machinesBeside } from "../desired/beside.ts";
import { machineSuffix, regionSuffix } from "../desired/machines.ts";
import type { MailRoute } from "../desired/mail-route.ts";
import type { NewAddress } from "../desired/new-addresses.ts";
import { asAddressed } from "../desired/replaced-address.ts";
import type { Standing } from "../desired/standing.ts";
import type {
  Address,
  Application,
  Applications,
  Candidate,
  Ground,
  Guards,
  GuestGeneration,
  Loop,
  RegionGround,
} from "../desired/state.ts";
import { namedSecrets } from "../desired/iq-suite.ts";
import * as privilege from "../desired/privilege.ts";
import * as desired from "../desired/state.ts";
import type { Target } from "../desired/target.ts";
import type { ForwardingKind } from "../desired/ways.ts";
import type { ActualOf, DesiredOf } from "../durable/resources.ts";
import type { Subscription } from "../azure/place.ts";
import type { Resources } from "../resources/index.ts";
import type { Placement } from "./placement.ts";
import { ControlPlaneError } from "../errors.ts";
import type { AzureSql } from "../tenants/spec.ts";
import type { TlsCertificate } from "../resources/tls-certificate.ts";
import type { SecretReference } from "../vault/reference.ts";
import type { Issued } from "../desired/certificate.ts";
import { type CertificateSeen, obtainCertificate, showCertificate } from "./certificate.ts";

export interface Installation extends Target {
  /** `live` and `pilot` tenants are onboarded again without narrowing whose mail runs through the gateway. */
  piloted: boolean;
  /** Everybody's mail runs through the gateway. */
  live?: boolean | undefined;
  /** Where its spec asks for another number of machines than stand. */
  standing?: Standing | undefined;
  /** While its loop GUID is being replaced. */
  otherLoopGuid?: SecretReference | undefined;
}

/** A walk through the runbook; `Wait` is what the walker's hands wait for. */
export type Walk<Wait, Result> = Generator<Wait, Result, unknown>;

export interface SecretWanted {
  step: string;
  vaultUrl: string;
  entraTenantId: string;
  purpose: "loopGuid" | "adminPassword";
}

export interface NamedSecretsWanted {
  step: string;
  vaultUrl: string;
  entraTenantId: string;
  names: string[];
}

/** What a walker can do. */
export interface Hands<Wait> {
  ensure<Kind extends keyof Resources>(
    kind: Kind,
    step: string,
    wanted: DesiredOf<Resources[Kind]>,
    attempt?: number,
  ): Walk<Wait, ActualOf<Resources[Kind]>>;
  /** The same where nothing waits for it: a failure is the step's alone, and the walk goes on. */
  ensureIfPossible<Kind extends keyof Resources>(kind: Kind, step: string, wanted: DesiredOf<Resources[Kind]>): Walk<Wait, void>;
  /** Takes away what could not be made as wanted. */
  remove<Kind extends keyof Resources>(
    kind: Kind,
    step: string,
    wanted: DesiredOf<Resources[Kind]>,
    attempt: number,
  ): Walk<Wait, void>;
  /** Takes away what the spec no longer has. */
  drop<Kind extends keyof Resources>(kind: Kind, step: string, unwanted: DesiredOf<Resources[Kind]>): Walk<Wait, void>;
  /** Exchange Online itself connects to each of the connector's smart hosts. */
  proveSmartHosts(loop: Loop): Walk<Wait, void>;
  /** Until every server of Exchange Online knows what was written, of which nothing shows it. */
  settled(step: string): Walk<Wait, void>;
  /** Until the machine has sent on all that it had. */
  drained(step: string, virtualMachine: string): Walk<Wait, void>;
  /** Nobody watches these machines any more, and their names are free. */
  forget(virtualMachines: string[]): Walk<Wait, void>;
  /** The first that Azure gives and no blocklist has; the others go again. */
  cleanAddress(wanted: NewAddress): Walk<Wait, Address>;
  /** Where the machines of a region go, by its index. */
  placement(region: number): Walk<Wait, Placement>;
  /** The same for a machine beside the gateways. */
  rolePlacement(role: MachineRole): Walk<Wait, Placement>;
  /** Object id of our own service principal in the subscription's Entra tenant. */
  ownPrincipal(subscription: Subscription): Walk<Wait, string>;
  /** Made once per tenant and purpose, straight into the tenant's vault. */
  secret(wanted: SecretWanted): Walk<Wait, SecretReference>;
  /** What somebody else has put into the tenant's vault, by its names. */
  namedSecrets(wanted: NamedSecretsWanted): Walk<Wait, Record<string, SecretReference>>;
  /** In the tenant's vault: there when its issuer, and whoever has to do with it, has done his part. */
  certificate(wanted: TlsCertificate): Walk<Wait, Issued>;
  /** Seen from outside. */
  showsCertificate(seen: CertificateSeen): Walk<Wait, void>;
  mailRoute(): Walk<Wait, MailRoute>;
  guestGeneration(): Walk<Wait, GuestGeneration>;
  /** Whether the walk began with this version of the app or a later one (ADR 0020); who only looks always does. */
  begunWith(version: string): boolean;
  /** Walks what is short side by side, if these hands can; gives the results in order. */
  abreast<Results extends unknown[]>(...walks: { [Index in keyof Results]: Walk<Wait, Results[Index]> }): Walk<Wait, Results>;
  /** Walks chapters at the same time, if these hands can; gives their results in order. */
  together<Results extends unknown[]>(...chapters: { [Index in keyof Results]: Begun<Results[Index]> }): Walk<Wait, Results>;
  /** Begins chapters that go on beside `walk`, which waits for each where it needs it; ends when all have. */
  beside<Results extends unknown[], Result>(
    chapters: { [Index in keyof Results]: Begun<Results[Index]> },
    walk: (...ends: { [Index in keyof Results]: () => Walk<Wait, Results[Index]> }) => Walk<Wait, Result>,
  ): Walk<Wait, Result>;
}

/** A part of the runbook that can be walked beside others. The name is that of its orchestration: never rename it. */
export interface Chapter<Input extends { tenant: Installation }, Result> {
  name: string;
  walk<Wait>(hands: Hands<Wait>, input: Input): Walk<Wait, Result>;
}

/** A chapter with its input; `suffix` makes its orchestration's id. */
export interface Begun<Result> {
  name: string;
  input: { tenant: Installation };
  suffix: string;
  walk<Wait>(hands: Hands<Wait>): Walk<Wait, Result>;
}

export const begin = <Input extends { tenant: Installation }, Result>(
  { name, walk }: Chapter<Input, Result>,
  input: Input,
  suffix: string,
): Begun<Result> => ({ name, input, suffix, walk: (hands) => walk(hands, input) });

/** What was made, and what it is made of. */
export interface Installed extends Built {
  ground: Ground;
}

/**
 * Everything that can stand before it is proven. Networks need their group only, mail flow needs addresses and the vault's secrets, machines
 * need all three: each begins when what it needs is there.
 * @param newAddresses those of machines that this walk makes; left out by onboardings that were begun before 1.3.0
 */
export function* install<Wait>(hands: Hands<Wait>, tenant: Installation, newAddresses?: NewAddress[]): Walk<Wait, Installed> {
  if (!hands.begunWith("1.2.0")) {
    const [ground] = yield* hands.together<[Ground]>(begin(prepareGround, { tenant }, "ground"));
    return { ground, ...(yield* buildAndConnect(hands, tenant, ground)) };
  }
  yield* openGroups(hands, tenant);
  const networks = tenant.names.regions.map((_, region) =>
    begin(layNetwork, { tenant, region }, `network${regionSuffix(region)}`),
  );
  return yield* hands.beside<[InVault, ...Network[]], Installed>(
    [begin(keepSecrets, { tenant }, "secrets"), ...networks],
    function* (secretsKept, ...networksLaid) {
      if (mayTakeAPerson(tenant)) yield* secretsKept();
      return yield* hands.beside<[RegionGround[]], Installed>(
        [begin(reservePlaces, { tenant, grouped: true, ...(newAddresses && { newAddresses }) }, "places")],
        function* (placesReserved) {
          const identity = yield* hands.ensure("vmIdentity", "vmIdentity", desired.vmIdentity(tenant));
          const { vaultId, ...secrets } = yield* secretsKept();
          const ground = { ...secrets, ...idsOfIdentity(identity), regions: yield* placesReserved() };
          const addressed = asAddressed(tenant, ground.regions);
          const built = yield* buildAndConnect(hands, addressed, ground, function* () {
            yield* admitGateway(hands, tenant, vaultId, identity);
            const laid: Network[] = [];
            for (const networkLaid of networksLaid) laid.push(yield* networkLaid());
            return laid;
          });
          return { ground, ...built };
        },
      );
    },
  );
}

/** Nothing is made where a marketplace image's terms stand in the way. */
function* openGroups<Wait>(hands: Hands<Wait>, tenant: Installation): Walk<Wait, void> {
  yield* openHome(hands, tenant);
  for (const [index, region] of tenant.names.regions.entries()) yield* openGroup(hands, tenant, index, region);
}

function* openHome<Wait>(hands: Hands<Wait>, tenant: Installation): Walk<Wait, void> {
  const terms = desired.marketplaceTerms(tenant);
  if (terms) yield* hands.ensure("marketplaceTerms", "marketplaceTerms", terms);
  yield* hands.ensure("resourceGroup", "resourceGroup", desired.resourceGroup(tenant, tenant.names.home));
  const collected = desired.dataCollectionRule(tenant);
  if (collected) yield* hands.ensure("dataCollectionRule", "dataCollectionRule", collected);
}

/** Of a region that isn't in the home group. */
function* openGroup<Wait>(hands: Hands<Wait>, tenant: Installation, index: number, region: RegionNames): Walk<Wait, void> {
  if (region.resourceGroup !== tenant.names.home.resourceGroup)
    yield* hands.ensure("resourceGroup", `resourceGroup${regionSuffix(index)}`, desired.resourceGroup(tenant, region));
}

/** Then the vault comes before anything that costs money. */
const mayTakeAPerson = ({ spec }: Installation): boolean =>
  spec.gateway.certificate !== undefined || namedSecrets(spec).length > 0;

/** As onboardings did that were begun before 1.2.0. The root of everything: what more than one chapter needs. */
export const prepareGround: Chapter<{ tenant: Installation }, Ground> = {
  name: "prepareGround",
  *walk(hands, { tenant }) {
    yield* openHome(hands, tenant);
    const vault = begin(prepareVault, { tenant }, "vault");
    const places = begin(reservePlaces, { tenant }, "places");
    if (!hands.begunWith("1.1.0")) return { ...(yield* vault.walk(hands)), regions: yield* places.walk(hands) };
    if (mayTakeAPerson(tenant)) {
      const [kept] = yield* hands.together<[Kept]>(vault);
      const [regions] = yield* hands.together<[RegionGround[]]>(places);
      return { ...kept, regions };
    }
    const [kept, regions] = yield* hands.together<[Kept, RegionGround[]]>(vault, places);
    return { ...kept, regions };
  },
};

type Identity = ActualOf<Resources["vmIdentity"]>;
type Vault = ActualOf<Resources["vault"]>;

/** Of the ground: what is in the vault, and who may read it. */
type Kept = Omit<Ground, "regions">;

/** As onboardings did that were begun before 1.2.0. */
export const prepareVault: Chapter<{ tenant: Installation }, Kept> = {
  name: "prepareVault",
  *walk(hands, { tenant }) {
    const [identity, vault, ours] = yield* hands.abreast<[Identity, Vault, string]>(
      hands.ensure("vmIdentity", "vmIdentity", desired.vmIdentity(tenant)),
      hands.ensure("vault", "vault", desired.vault(tenant)),
      hands.ownPrincipal(subscriptionOf(tenant)),
    );
    yield* hands.abreast<unknown[]>(
      admitOurselves(hands, tenant, vault.id, ours),
      admitGateway(hands, tenant, vault.id, identity),
    );
    return { ...(yield* secretsIn(hands, tenant, vault, ours)), ...idsOfIdentity(identity) };
  },
};

type Secrets = Omit<Kept, "identityId" | "identityClientId">;
interface InVault extends Secrets {
  vaultId: string;
}

/** Secrets are made once, in the tenant's own vault. */
export const keepSecrets: Chapter<{ tenant: Installation }, InVault> = {
  name: "keepSecrets",
  *walk(hands, { tenant }) {
    const [vault, ours] = yield* hands.abreast<[Vault, string]>(
      hands.ensure("vault", "vault", desired.vault(tenant)),
      hands.ownPrincipal(subscriptionOf(tenant)),
    );
    yield* admitOurselves(hands, tenant, vault.id, ours);
    return { ...(yield* secretsIn(hands, tenant, vault, ours)), vaultId: vault.id };
  },
};

function* secretsIn<Wait>(hands: Hands<Wait>, tenant: Installation, vault: Vault, ours: string): Walk<Wait, Secrets> {
  const { entraTenantId } = desired.home(tenant);
  const secretOf = (purpose: SecretWanted["purpose"]) =>
    hands.secret({ step: purpose, vaultUrl: vault.url, entraTenantId, purpose });
  const [loopGuid, adminPassword] = yield* hands.abreast<[SecretReference, SecretReference]>(
    secretOf("loopGuid"),
    secretOf("adminPassword"),
  );
  const names = namedSecrets(tenant.spec);
  const named = { step: "namedSecrets", vaultUrl: vault.url, entraTenantId, names };
  const found = names.length === 0 ? {} : { namedSecrets: yield* hands.namedSecrets(named) };
  const certificate = yield* obtainCertificate(hands, tenant, vault, ours);
  const { otherLoopGuid } = tenant;
  return { loopGuid, ...(otherLoopGuid && { otherLoopGuid }), adminPassword, ...found, ...(certificate ? { certificate } : {}) };
}

const admitOurselves = <Wait>(hands: Hands<Wait>, tenant: Installation, vaultId: string, ours: string) =>
  hands.ensure(
    "roleAssignment",
    "vaultAccessForGatehouse",
    desired.vaultAccess(tenant, vaultId, ours, "Key Vault Secrets Officer"),
  );

const admitGateway = <Wait>(hands: Hands<Wait>, tenant: Installation, vaultId: string, { principalId }: Identity) =>
  hands.ensure(
    "roleAssignment",
    "vaultAccessForGateway",
    desired.vaultAccess(tenant, vaultId, principalId, "Key Vault Secrets User"),
  );

const idsOfIdentity = ({ id, clientId }: Identity) => ({ identityId: id, identityClientId: clientId });

const subscriptionOf = (tenant: Installation): Subscription => {
  const { entraTenantId, subscriptionId } = desired.home(tenant);
  return { entraTenantId, subscriptionId };
};

export interface PlacesChapter {
  tenant: Installation;
  /** Resource groups stand already, and networks are laid beside it. */
  grouped?: true;
  /** What of it no blocklist may have. */
  newAddresses?: NewAddress[];
}

/** Mission A5, A6, A11: connectors and rules name the addresses, so they stand before the machines do. */
export const reservePlaces: Chapter<PlacesChapter, RegionGround[]> = {
  name: "reservePlaces",
  walk: (hands, { tenant, grouped = false, newAddresses = [] }) =>
    hands.abreast<RegionGround[]>(
      ...tenant.names.regions.map((region, index) => reservePlace(hands, tenant, index, region, grouped, newAddresses)),
    ),
};

function* reservePlace<Wait>(
  hands: Hands<Wait>,
  tenant: Installation,
  index: number,
  region: RegionNames,
  grouped: boolean,
  newAddresses: NewAddress[],
): Walk<Wait, RegionGround> {
  const at = regionSuffix(index);
  if (!grouped) yield* openGroup(hands, tenant, index, region);
  const account = desired.diagnosticsAccount(tenant, region);
  const ensureAddress = (step: string, wanted: DesiredOf<Resources["publicIpAddress"]>) =>
    hands.ensure("publicIpAddress", step, wanted);
  const machines = region.machines.map((machine, number) => {
    const fresh = newAddresses.find((one) => one.region === index && one.machine === number);
    return fresh ? hands.cleanAddress(fresh) : standingAddress(machineSuffix(index, number), machine);
  });
  const [made, [diagnostics], [shared], [guards]] = yield* hands.abreast<
    [Address[], ActualOf<Resources["diagnosticsAccount"]>[], Address[], Guards[]]
  >(
    hands.abreast<Address[]>(...machines),
    hands.abreast<ActualOf<Resources["diagnosticsAccount"]>[]>(
      ...(account ? [hands.ensure("diagnosticsAccount", `diagnosticsAccount${at}`, account)] : []),
    ),
    hands.abreast<Address[]>(
      ...(balanced(region) ? [ensureAddress(`loadBalancerAddress${at}`, desired.loadBalancerAddress(tenant, region))] : []),
    ),
    hands.abreast<Guards[]>(...(!grouped && hands.begunWith("1.1.0") ? [guardPlace(hands, tenant, index, region)] : [])),
  );
  return {
    ...(shared && { loadBalancer: addressOf(shared) }),
    machines: made,
    ...(diagnostics && { diagnosticsUrl: diagnostics.blobUrl }),
    ...(guards && { guards }),
  };

  function* standingAddress(suffix: string, machine: MachineNames): Walk<Wait, Address> {
    return addressOf(yield* ensureAddress(`publicIpAddress${suffix}`, desired.machineAddress(tenant, { region, machine })));
  }
}

/** Manual, chapter 2: network rules first, because nothing may listen before it is guarded. */
function* guardPlace<Wait>(hands: Hands<Wait>, tenant: Installation, index: number, region: RegionNames): Walk<Wait, Guards> {
  const wider = desired.subnetSecurityGroup(tenant, region);
  const step = `networkSecurityGroup${regionSuffix(index)}`;
  const [machine, [subnet = machine]] = yield* hands.abreast<[Guard, Guard[]]>(
    hands.ensure("networkSecurityGroup", step, desired.networkSecurityGroup(tenant, region)),
    hands.abreast<Guard[]>(...(wider ? [hands.ensure("networkSecurityGroup", "subnetSecurityGroup", wider)] : [])),
  );
  return { machine: machine.id, subnet: subnet.id };
}

type Guard = ActualOf<Resources["networkSecurityGroup"]>;

const addressOf = ({ id, ipAddress, fqdn }: Address): Address => ({ id, ipAddress, fqdn });

/** A region's subnet, and the guard of what will be in it. */
interface Network {
  guard: string;
  subnetId: string;
}

/** Manual, chapter 2: a guarded network. */
export const layNetwork: Chapter<{ tenant: Installation; region: number }, Network> = {
  name: "layNetwork",
  *walk(hands, { tenant, region: index }) {
    const region = regionOf(tenant, index);
    return yield* layIn(hands, tenant, index, yield* guardPlace(hands, tenant, index, region));
  },
};

function* layIn<Wait>(hands: Hands<Wait>, tenant: Installation, index: number, guards: Guards): Walk<Wait, Network> {
  const wanted = desired.virtualNetwork(tenant, regionOf(tenant, index), guards.subnet);
  const { subnetId } = yield* hands.ensure("virtualNetwork", `virtualNetwork${regionSuffix(index)}`, wanted);
  return { guard: guards.machine, subnetId };
}

export interface RegionChapter {
  tenant: Installation;
  ground: Ground;
  /** Index among the tenant's regions. */
  region: number;
}

/** Manual, chapter 2: a guarded network, where it isn't laid already, then the region's machines at once. */
export const buildGateway: Chapter<RegionChapter & { network?: Network }, void> = {
  name: "buildGateway",
  *walk(hands, { tenant, ground, region: index, network: laid }) {
    const region = regionOf(tenant, index);
    const at = regionSuffix(index);
    const { loadBalancer, guards: known } = ground.regions[index] ?? {};
    const guards = known ?? (laid ? undefined : yield* guardPlace(hands, tenant, index, region));
    const [network, { placement, set }, balancer] = yield* hands.abreast<[Network, Places, Balancer | undefined]>(
      lay(),
      findPlaces(),
      balance(),
    );
    const place = {
      tenant,
      ground,
      region: index,
      subnetId: network.subnetId,
      networkSecurityGroupId: network.guard,
      availabilitySetId: set?.id,
      poolId: balancer?.poolId,
    };
    yield* hands.together<void[]>(
      ...placement.machines.map((candidates, machine) =>
        begin(buildMachine, { ...place, machine, candidates }, `m${machine + 1}`),
      ),
      ...(region.region === tenant.names.home.region ? machinesBeside(tenant.spec) : []).map(({ role }) =>
        begin(besideChapters[role], { tenant, ground, subnetId: network.subnetId }, role.toLowerCase()),
      ),
    );

    function* lay() {
      return laid ?? (yield* layIn(hands, tenant, index, present(guards, `guards of region ${index + 1}`)));
    }

    function* findPlaces() {
      const placement = yield* hands.placement(index);
      const set = placement.availabilitySet
        ? yield* hands.ensure("availabilitySet", `availabilitySet${at}`, desired.availabilitySet(tenant, region))
        : undefined;
      return { placement, set };
    }

    function* balance() {
      if (!loadBalancer) return undefined;
      const wanted = desired.loadBalancer(tenant, region, loadBalancer.id);
      const made = yield* hands.ensure("loadBalancer", `loadBalancer${at}`, wanted);
      const diagnostics = desired.diagnosticSetting(tenant, region);
      if (diagnostics) yield* hands.ensure("diagnosticSetting", `diagnosticSetting${at}`, diagnostics);
      return made;
    }
  },
};

type Balancer = ActualOf<Resources["loadBalancer"]>;
interface Places {
  placement: Placement;
  set: ActualOf<Resources["availabilitySet"]> | undefined;
}

export interface MachineChapter extends RegionChapter {
  /** Index among the region's machines. */
  machine: number;
  candidates: Candidate[];
  subnetId: string;
  networkSecurityGroupId: string;
  availabilitySetId?: string | undefined;
  poolId?: string | undefined;
}

/** Azure has no room for that size in that place at the moment. Source: "Troubleshoot allocation failures"; SkuNotAvailable is told at once. */
const NO_ROOM = new Set([
  "AllocationFailed",
  "ZonalAllocationFailed",
  "OverconstrainedAllocationRequest",
  "OverconstrainedZonalAllocationRequest",
  "SkuNotAvailable",
]);

const hasNoRoom = (error: unknown): boolean =>
  error instanceof ControlPlaneError && [error, ...(error.details ?? [])].some(({ code }) => NO_ROOM.has(code));

/** Of the first size and in the first place that Azure has room for. */
function* ensureSomewhere<Wait>(
  hands: Hands<Wait>,
  step: string,
  candidates: Candidate[],
  wantedOf: (candidate: Candidate) => DesiredOf<Resources["gatewayVm"]>,
): Walk<Wait, void> {
  for (const [index, candidate] of candidates.entries()) {
    const wanted = wantedOf(candidate);
    try {
      yield* hands.ensure("gatewayVm", step, wanted, index + 1);
      return;
    } catch (error) {
      if (!hasNoRoom(error) || index + 1 === candidates.length) throw error;
      yield* hands.remove("gatewayVm", step, wanted, index + 1);
    }
  }
}

/** Manual, chapters 2.2 and 3: interface, machine, and what Windows inside it has to be, once it runs. */
export const buildMachine: Chapter<MachineChapter, void> = {
  name: "buildMachine",
  *walk(hands, { tenant, ground, region: index, machine: number, candidates, availabilitySetId, ...subnet }) {
    const region = regionOf(tenant, index);
    const place = { region, machine: machineOf(region, number) };
    const address = addressIn(ground, index, number);
    const { diagnosticsUrl } = ground.regions[index] ?? {};
    const at = machineSuffix(index, number);
    const network = { ...subnet, publicIpAddressId: address.id };
    const networkInterface = yield* hands.ensure(
      "networkInterface",
      `networkInterface${at}`,
      desired.networkInterface(tenant, place, network),
    );
    yield* ensureSomewhere(hands, `gatewayVm${at}`, candidates, (candidate) =>
      desired.gatewayVm(tenant, place, { ...candidate, availabilitySetId, diagnosticsUrl }, networkInterface.id, ground),
    );
    // As late as can be: a credential that was rotated meanwhile is not taken away again.
    const [route, generation] = yield* hands.abreast<[MailRoute, GuestGeneration]>(hands.mailRoute(), hands.guestGeneration());
    yield* hands.ensure("guest", `guest${at}`, desired.guest(tenant, place, address.fqdn, ground, route, generation));
    if (!tenant.spec.gateway.monitoring) return;
    // Mail first: nobody waits for what is only watched.
    yield* hands.abreast<unknown[]>(
      hands.ensure("monitorAgent", `monitorAgent${at}`, desired.monitorAgent(tenant, place, ground)),
      hands.ensure(
        "dataCollectionAssociation",
        `dataCollectionAssociation${at}`,
        desired.dataCollectionAssociation(tenant, place),
      ),
    );
  },
};

export interface BesideChapter {
  tenant: Installation;
  ground: Ground;
  subnetId: string;
}

/** A machine beside the gateways up to where Windows runs, with a guard and an identity of its own. Gives the identity's client id. */
function* buildBeside<Wait>(
  hands: Hands<Wait>,
  { tenant, ground, subnetId }: BesideChapter,
  role: MachineRole,
): Walk<Wait, string> {
  const place = desired.roleOf(tenant, role);
  const { image, address: addressed } = machineBeside(tenant.spec, role);
  const identity = yield* hands.ensure("vmIdentity", `${role}Identity`, desired.roleIdentity(tenant, place));
  const guard = yield* hands.ensure("networkSecurityGroup", `${role}SecurityGroup`, desired.roleSecurityGroup(tenant, role));
  const address = addressed
    ? yield* hands.ensure("publicIpAddress", `${role}Address`, desired.machineAddress(tenant, place))
    : undefined;
  const { machines } = yield* hands.rolePlacement(role);
  const network = { subnetId, networkSecurityGroupId: guard.id, publicIpAddressId: address?.id };
  const { id } = yield* hands.ensure("networkInterface", `${role}Interface`, desired.networkInterface(tenant, place, network));
  const { adminPassword, regions } = ground;
  const { diagnosticsUrl } = regions[tenant.names.regions.indexOf(place.region)] ?? {};
  yield* ensureSomewhere(hands, `${role}Vm`, machines[0] ?? [], (candidate) =>
    desired.gatewayVm(tenant, place, { ...candidate, image, diagnosticsUrl }, id, { identityId: identity.id, adminPassword }),
  );
  return identity.clientId;
}

/** Mission A8: a machine beside the gateways, with a public address only where the spec opens its service. */
export const buildKeyManager: Chapter<BesideChapter, void> = {
  name: "buildKeyManager",
  *walk(hands, chapter) {
    const clientId = yield* buildBeside(hands, chapter, "keyManager");
    const place = desired.roleOf(chapter.tenant, "keyManager");
    yield* hands.ensure("guest", "keyManagerGuest", desired.keyManagerGuest(chapter.tenant, place, clientId));
  },
};

/** Mission E4 to E9. Who makes the machine a member of the domain may come later: nobody's mail waits for that. */
export const buildUcmServer: Chapter<BesideChapter, void> = {
  name: "buildUcmServer",
  *walk(hands, chapter) {
    const clientId = yield* buildBeside(hands, chapter, "ucm");
    try {
      yield* hands.ensure("guest", "ucmGuest", desired.ucmGuest(chapter.tenant, clientId, "known"));
    } catch (error) {
      if (!(error instanceof ControlPlaneError) || error.target !== "AccountUnknown") throw error;
      yield* hands.ensure("guest", "ucmGuest", desired.ucmGuest(chapter.tenant, clientId, "unknown"), 2);
    }
  },
};

const besideChapters = { keyManager: buildKeyManager, ucm: buildUcmServer } satisfies Record<
  MachineRole,
  Chapter<BesideChapter, void>
>;

export interface TenantChapter {
  tenant: Installation;
  ground: Ground;
}

export interface DatabaseChapter extends TenantChapter {
  database: AzureSql;
}

/** What iQ.Suite's and WebClient's connections name. */
export interface Databases {
  server: string;
  iqSuite: string;
  webClient: string;
}

/**
 * Manual, chapter 1: a server in Azure SQL with two databases, where the spec asks for them. Nobody gets in before the server admits Entra
 * only; nothing is in a database before its server admits the gateways only.
 */
export const buildDatabase: Chapter<DatabaseChapter, Databases> = {
  name: "buildDatabase",
  *walk(hands, { tenant, ground, database }) {
    const server = yield* hands.ensure("sqlServer", "sqlServer", desired.sqlServer(tenant, database));
    yield* hands.ensure("sqlFirewallRules", "sqlFirewallRules", desired.sqlFirewallRules(tenant, ground));
    const { iqSuiteDatabase: iqSuite, webClientDatabase: webClient } = tenant.names;
    yield* hands.abreast<unknown[]>(
      hands.ensure("sqlDatabase", "iqSuiteDatabase", desired.sqlDatabase(tenant, iqSuite, database)),
      hands.ensure("sqlDatabase", "webClientDatabase", desired.sqlDatabase(tenant, webClient, database)),
    );
    return { server: server.fqdn, iqSuite, webClient };
  },
};

/**
 * Manual, chapters 5 and 6: the WebClient's application, whose redirect URIs are the gateways' names; after it the one that asks for its
 * scope; and the gateways' own way into mailboxes.
 */
export const registerApplications: Chapter<TenantChapter, Applications> = {
  name: "registerApplications",
  *walk(hands, { tenant, ground }) {
    const [asked, exchangeWebServices] = yield* hands.abreast<
      [Omit<Applications, "exchangeWebServices">, Application | undefined]
    >(registerWebClient(hands, tenant, ground), openMailboxes(hands, tenant));
    return { ...asked, ...(exchangeWebServices && { exchangeWebServices }) };
  },
};

function* registerWebClient<Wait>(
  hands: Hands<Wait>,
  tenant: Installation,
  ground: Ground,
): Walk<Wait, Omit<Applications, "exchangeWebServices">> {
  const wanted = desired.webClientApplication(tenant, ground);
  const webClient = idsOf(yield* hands.ensure("webClientApplication", "webClientApplication", wanted));
  const asking = desired.powerShellApplication(tenant, webClient);
  const powerShell = asking && idsOf(yield* hands.ensure("powerShellApplication", "powerShellApplication", asking));
  return { ...webClient, ...(powerShell && { powerShell }) };
}

/** Who may read is decided before anybody may: Exchange Web Services are opened last. */
function* openMailboxes<Wait>(hands: Hands<Wait>, tenant: Installation): Walk<Wait, Application | undefined> {
  const wanted = desired.exchangeWebServicesApplication(tenant);
  if (!wanted) return undefined;
  const reader = yield* hands.ensure("exchangeWebServicesApplication", "exchangeWebServicesApplication", wanted);
  const scoped = desired.mailboxAccess(tenant, reader);
  if (scoped) yield* hands.ensure("mailboxAccess", "mailboxAccess", scoped);
  yield* hands.ensure(
    "exchangeWebServicesPolicy",
    "exchangeWebServicesPolicy",
    desired.exchangeWebServicesPolicy(tenant, reader),
  );
  return idsOf(reader);
}

const idsOf = ({ appId, objectId }: Application): Application => ({ appId, objectId });

/**
 * Manual, chapter 4: both connectors exist before any rule sends mail through them, the guard before any rule believes the header, and
 * what takes the header away from mail that leaves before there is mail with it.
 * The forwarding rule concerns the probe mailbox only, so that its propagation overlaps the VM's build and nobody's mail waits for a
 * gateway that isn't there.
 */
export const connectMailFlow: Chapter<TenantChapter, void> = {
  name: "connectMailFlow",
  *walk(hands, { tenant, ground }) {
    const connectors = begin(makeConnectors, { tenant, ground }, "connectors");
    const passing = admitsFirst(tenant, ground) ? [] : [passingOf(tenant, ground)];
    if (hands.begunWith("1.1.0")) yield* hands.together<void[]>(connectors, ...passing);
    else for (const chapter of [connectors, ...passing]) yield* chapter.walk(hands);
    const scope = tenant.piloted ? "pilot" : "probe";
    yield* hands.ensure("forwardingRule", "forwardingRule", desired.forwardingRule(tenant, ground, scope));
    const incoming = desired.incomingForwardingRule(tenant, ground, scope);
    if (incoming) yield* hands.ensure("incomingForwardingRule", "incomingForwardingRule", incoming);
    if (tenant.piloted) yield* forwardGroups(hands, tenant, ground);
    if (tenant.live === true) yield* forwardDomains(hands, tenant, ground);
  },
};

export const makeConnectors: Chapter<TenantChapter, void> = {
  name: "makeConnectors",
  *walk(hands, { tenant, ground }) {
    // Mail goes where it went until the new way is proven.
    const { smartHosts = desired.smartHosts(ground) } = tenant.standing ?? {};
    yield* hands.abreast<unknown[]>(
      hands.ensure("inboundConnector", "inboundConnector", desired.inboundConnector(tenant, ground)),
      hands.ensure("outboundConnector", "outboundConnector", { ...desired.outboundConnector(tenant, ground), smartHosts }),
      ...(admitsFirst(tenant, ground) ? [] : filterOf(hands, tenant, ground)),
    );
  },
};

const filterOf = <Wait>(hands: Hands<Wait>, tenant: Installation, ground: Ground): Walk<Wait, unknown>[] =>
  tenant.spec.connectionFilter
    ? [hands.ensure("connectionFilter", "connectionFilter", desired.connectionFilter(tenant, ground))]
    : [];

/**
 * Machines that join those that stand get mail soon after they are built. What connectors say of a certificate waits until they show it; what
 * names their addresses must not, since rules take their time to arrive everywhere.
 */
const admitsFirst = ({ standing }: Installation, { certificate }: Ground): boolean =>
  certificate !== undefined && standing?.knownBy !== undefined;

/** What mail that comes back needs, before any goes. Rules have places in one list: one is made after another. */
export const admitHandled: Chapter<TenantChapter, void> = {
  name: "admitHandled",
  *walk(hands, { tenant, ground }) {
    if (admitsFirst(tenant, ground)) {
      // Mail comes back by this one until it has come back by the other.
      if (tenant.standing?.knownBy === "address")
        yield* hands.ensure("inboundConnector", "inboundConnectorWidened", desired.inboundConnectorByAddress(tenant, ground));
      yield* hands.abreast<unknown[]>(...filterOf(hands, tenant, ground));
    }
    yield* hands.ensure("guardRule", "guardRule", desired.guardRule(tenant, ground));
    yield* hands.ensure("approvalRule", "approvalRule", desired.approvalRule(tenant, ground));
    yield* hands.ensure("stripRule", "stripRule", desired.stripRule(tenant));
  },
};

export interface SpfChapter extends TenantChapter {
  /** What becomes of addresses that were listed before. */
  earlier: "stay" | "go";
}

/**
 * Mission C6: new addresses are listed beside the old ones before mail comes from them; the old ones go when the new way is proven. The
 * gateways send on to Microsoft 365, so no pilot waits for it.
 */
export const publishSpf: Chapter<SpfChapter, void> = {
  name: "publishSpf",
  *walk(hands, { tenant, ground, earlier }) {
    for (const [index, record] of desired.spfRecords(tenant, ground, earlier).entries())
      yield* hands.ensureIfPossible("spfRecord", spfStep(index, earlier), record);
  },
};

/** Of the domains whose zones may be written, by their order. */
export const spfStep = (index: number, earlier: SpfChapter["earlier"]): string =>
  `${earlier === "stay" ? "spfRecord" : "spfRecordSettled"}${index === 0 ? "" : `-${index + 1}`}`;

/** Mission C5: whoever is a member. The probe mailbox need not be one, so that these rules come after the proof. */
export function* forwardGroups<Wait>(hands: Pick<Hands<Wait>, "ensure">, tenant: Installation, ground: Ground): Walk<Wait, void> {
  const groups = desired.groupForwardingRule(tenant, ground);
  if (groups) yield* hands.ensure("groupForwardingRule", "groupForwardingRule", groups);
  const incoming = desired.incomingGroupForwardingRule(tenant, ground);
  if (incoming) yield* hands.ensure("incomingGroupForwardingRule", "incomingGroupForwardingRule", incoming);
}

/** Mission C5: stage `live`. The pilot's rules stay above, so that going back is taking these away. */
export function* forwardDomains<Wait>(hands: Pick<Hands<Wait>, "ensure">, tenant: Target, ground: Ground): Walk<Wait, void> {
  yield* hands.ensure("domainForwardingRule", "domainForwardingRule", desired.domainForwardingRule(tenant, ground));
  const incoming = desired.incomingDomainForwardingRule(tenant, ground);
  if (incoming) yield* hands.ensure("incomingDomainForwardingRule", "incomingDomainForwardingRule", incoming);
}

/**
 * Mission C5: ways that the pilot's spec has no more, when a mail came back by those that stay: until then nobody's mail changes its way. Then
 * theirs goes round the gateway again, the widest way first, as in a demotion.
 */
export function* closeWays<Wait>(hands: Pick<Hands<Wait>, "drop">, tenant: Installation, ground: Ground): Walk<Wait, void> {
  for (const kind of tenant.standing?.closedWays ?? [])
    yield* hands.drop(kind, closedStep(kind), desired.forwardingRule(tenant, ground, "probe"));
}

export const closedStep = (kind: ForwardingKind): string => `drop${kind.charAt(0).toUpperCase()}${kind.slice(1)}`;

/**
 * Mission D6: the way by which our application goes on without the Entra role that it began with. Made beside everything else, so that it
 * has long arrived in Exchange when that role goes.
 */
export const giveOwnRoles: Chapter<{ tenant: Installation }, void> = {
  name: "giveOwnRoles",
  *walk(hands, { tenant }) {
    yield* hands.ensure("exchangePrincipal", "exchangePrincipal", privilege.exchangePrincipal(tenant));
    for (const parent of privilege.managementRoles)
      yield* hands.ensure("managementRole", privilege.roleStep(parent), privilege.managementRole(tenant, parent));
    yield* hands.ensure("roleGroup", "roleGroup", privilege.roleGroup(tenant));
  },
};

/** What was made, and has to be known afterwards. */
export interface Built {
  applications: Applications;
  databases?: Databases;
}

/**
 * Everything that can stand before it is proven, at the same time: what each chapter needs of the others is in the ground. Only where the
 * gateways' documents name applications, these come first.
 * @param awaited what machines wait for beside the ground, and then stand in; without it gateways lay networks of their own
 */
function* buildAndConnect<Wait>(
  hands: Hands<Wait>,
  tenant: Installation,
  ground: Ground,
  awaited?: () => Walk<Wait, Network[]>,
): Walk<Wait, Built> {
  if (tenant.spec.spf) yield* hands.together<[void]>(begin(publishSpf, { tenant, ground, earlier: "stay" }, "spf"));
  if (admitsFirst(tenant, ground)) {
    yield* hands.together<[void]>(passingOf(tenant, ground));
    yield* hands.settled("acceptedEverywhere");
  }
  const built = yield* awaited ? buildOnceLaid(hands, tenant, ground, awaited) : buildTogether(hands, tenant, ground);
  if (ground.certificate) {
    // Nothing in Microsoft 365 names a certificate that a machine does not show yet.
    yield* showCertificate(hands, tenant, ground);
    yield* hands.together<[void]>(mailFlowOf(tenant, ground));
  }
  return built;
}

/** Mail flow and applications begin at once, machines when their networks are there. */
function* buildOnceLaid<Wait>(
  hands: Hands<Wait>,
  tenant: Installation,
  ground: Ground,
  awaited: () => Walk<Wait, Network[]>,
): Walk<Wait, Built> {
  return yield* hands.beside<[Applications, ...(Databases | void)[]], Built>(
    [directoryOf(tenant, ground), ...atOnce(tenant, ground), ...ownRolesOf(tenant)],
    function* (applicationsMade, ...others) {
      const named = desired.documentsNameApplications(tenant.spec) ? { applications: yield* applicationsMade() } : {};
      const networks = yield* awaited();
      yield* hands.together<void[]>(...gatewaysOf(tenant, { ...ground, ...named }, networks));
      const applications = yield* applicationsMade();
      const made: (Databases | void)[] = [];
      for (const other of others) made.push(yield* other());
      return builtOf(applications, made);
    },
  );
}

/** As onboardings did that were begun before 1.2.0. */
function* buildTogether<Wait>(hands: Hands<Wait>, tenant: Installation, ground: Ground): Walk<Wait, Built> {
  const directory = directoryOf(tenant, ground);
  const others = (from: Ground) => [...atOnce(tenant, from), ...gatewaysOf(tenant, from), ...ownRolesOf(tenant)];
  if (!desired.documentsNameApplications(tenant.spec)) {
    const [applications, ...made] = yield* hands.together<[Applications, ...(Databases | void)[]]>(directory, ...others(ground));
    return builtOf(applications, made);
  }
  const [applications] = yield* hands.together<[Applications]>(directory);
  return builtOf(applications, yield* hands.together<(Databases | void)[]>(...others({ ...ground, applications })));
}

function builtOf(applications: Applications, made: (Databases | void)[]): Built {
  const databases = made.find((one) => one);
  return databases ? { applications, databases } : { applications };
}

const directoryOf = (tenant: Installation, ground: Ground) => begin(registerApplications, { tenant, ground }, "directory");
const mailFlowOf = (tenant: Installation, ground: Ground) => begin(connectMailFlow, { tenant, ground }, "mail-flow");
const passingOf = (tenant: Installation, ground: Ground) => begin(admitHandled, { tenant, ground }, "passing");
const ownRolesOf = (tenant: Installation): Begun<void>[] =>
  tenant.spec.microsoft365.leastPrivilege === true ? [begin(giveOwnRoles, { tenant }, "own-roles")] : [];

/** What needs the ground only. */
function atOnce(tenant: Installation, ground: Ground): Begun<Databases | void>[] {
  const database = desired.azureSqlOf(tenant.spec);
  return [
    ...(ground.certificate ? [] : [mailFlowOf(tenant, ground)]),
    ...(database ? [begin(buildDatabase, { tenant, ground, database }, "database")] : []),
  ];
}

const gatewaysOf = (tenant: Installation, ground: Ground, networks: Network[] = []): Begun<void>[] =>
  tenant.names.regions.map((_, region) => {
    const network = networks[region];
    return begin(buildGateway, { tenant, ground, region, ...(network && { network }) }, `gateway${regionSuffix(region)}`);
  });

/** One machine is reached by its own name; several need one for all of them. */
const balanced = ({ machines }: RegionNames): boolean => machines.length > 1;
const regionOf = ({ names }: Installation, index: number): RegionNames => present(names.regions[index], `region ${index + 1}`);
const machineOf = ({ machines }: RegionNames, index: number): MachineNames => present(machines[index], `machine ${index + 1}`);
const addressIn = ({ regions }: Ground, region: number, machine: number): Address =>
  present(regions[region]?.machines[machine], `address of machine ${machine + 1} in region ${region + 1}`);

function present<Value>(value: Value | undefined, what: string): Value {
  if (value === undefined) throw new Error(`there is no ${what}`);
  return value;
}
