/**
 * Onboards one tenant: from nothing to proven mail flow for the pilot, in the order of the manual where that order protects mail, and at
 * the same time where it does not. Pure: every effect is a step.
 */
import type { Patience } from "../../shared/durable/patience.ts";
import type { Names } from "../../shared/azure/names.ts";
import type { Resources } from "../../shared/resources/index.ts";
import type { TenantSpec } from "../../shared/tenants/spec.ts";
import { branch, child, start, together } from "../../shared/durable/branches.ts";
import { type ResourcePace, type Work, resourceSteps } from "../../shared/durable/resources.ts";
import type { OrchestrationContext, Routine } from "../../shared/durable/routine.ts";
import { type Failure, errorOf, failureFrom, stepsOf } from "../../shared/durable/steps.ts";
import { secondsNow, wait, waitForEventOr } from "../../shared/durable/wait.ts";
import type { OnboardingActivities } from "./activities.ts";
import type { Ground, Loop } from "../../shared/desired/state.ts";
import * as desired from "../../shared/desired/state.ts";

/** What an onboarding is started with; nothing of it changes while it runs, whatever settings and specs do meanwhile. */
export interface Onboarding {
  work: Work;
  spec: TenantSpec;
  names: Names;
  /** `live` and `pilot` tenants are onboarded again without narrowing whose mail runs through the gateway. */
  piloted: boolean;
  pace: OnboardingPace;
}

export interface OnboardingPace extends ResourcePace {
  patience: Patience;
  consentCheckIntervalInSeconds: number;
  consentExpiryInSeconds: number;
  probeIntervalInSeconds: number;
  probeDeadlineInSeconds: number;
}

export function* onboardTenant(context: OrchestrationContext, tenant: Onboarding): Routine<void> {
  const { beginOnboarding, keepForDayTwo, finishOnboarding, failOnboarding } = stepsOf<OnboardingActivities>(
    context,
    tenant.pace.patience,
  );
  const { work } = tenant;
  try {
    yield* beginOnboarding({ work });
    yield* proveAccess(context, tenant);
    const ground = yield* prepareGround(context, tenant);
    const [, application] = yield* together<[void, Application, void]>(
      context,
      start(buildGateway, { tenant, ground }, "gateway"),
      start(registerApplications, { tenant, ground }, "directory"),
      start(connectMailFlow, { tenant, ground }, "mail-flow"),
    );
    const evidence = yield* proveAndPilot(context, tenant, ground);
    yield* keepForDayTwo({ work, ground, application });
    yield* finishOnboarding({ work, loop: desired.loop(tenant, ground), evidence });
  } catch (error) {
    yield* failOnboarding({ work, failure: failureFrom(error) });
  }
}

/** Nothing is created before consent is proven, the declared domains are verified there, and the subscription lets us in. */
function* proveAccess(context: OrchestrationContext, { work, spec, pace }: Onboarding): Routine<void> {
  const deadline = secondsNow(context) + pace.consentExpiryInSeconds;
  yield* child(context, waitForAccess, { work, spec, pace, wanted: "consent", deadline, checks: 0 }, "consent");
  yield* child(context, waitForAccess, { work, spec, pace, wanted: "azureAccess", deadline, checks: 0 }, "azure-access");
}

export interface AccessWait {
  work: Work;
  spec: TenantSpec;
  pace: OnboardingPace;
  wanted: "consent" | "azureAccess";
  /** Seconds since 1970. */
  deadline: number;
  checks: number;
}

/** Raised by the consent callback; only a hint to look at once, since what the browser brings proves nothing. */
export const CONSENT_ANSWERED = "consentAnswered";

/** Looks until access is proven; one look an execution, so that a wait of weeks keeps a short history. */
export const waitForAccess = branch("waitForAccess", function* (context, access: AccessWait): Routine<void> {
  const { checkAccess, failAccess } = stepsOf<OnboardingActivities>(context, access.pace.patience);
  const { work, spec, pace, wanted, deadline, checks } = access;
  const found = yield* checkAccess({ work, spec, wanted, first: checks === 0 });
  if (found.state === "granted") return;
  const failure: Failure | undefined =
    found.state === "refused" ? found.failure : secondsNow(context) > deadline ? found.expired : undefined;
  if (failure) {
    yield* failAccess({ work, wanted, failure });
    throw errorOf(failure);
  }
  yield* waitForEventOr(context, CONSENT_ANSWERED, pace.consentCheckIntervalInSeconds);
  context.df.continueAsNew({ ...access, checks: checks + 1 });
});

/** The root of everything: what more than one branch needs. Secrets are made once, in the tenant's own vault. */
function* prepareGround(context: OrchestrationContext, tenant: Onboarding): Routine<Ground> {
  const { work, pace } = tenant;
  const { ensure } = resourceSteps<Resources>(context, work, pace);
  const { ensureSecret, readOwnPrincipal } = stepsOf<OnboardingActivities>(context, pace.patience);
  const { entraTenantId, subscriptionId } = desired.place(tenant);

  yield* ensure("resourceGroup", "resourceGroup", desired.resourceGroup(tenant));
  const identity = yield* ensure("vmIdentity", "vmIdentity", desired.vmIdentity(tenant));
  const vault = yield* ensure("vault", "vault", desired.vault(tenant));
  const { principalId } = yield* readOwnPrincipal({ entraTenantId, subscriptionId });
  yield* ensure(
    "roleAssignment",
    "vaultAccessForGatehouse",
    desired.vaultAccess(tenant, vault.id, principalId, "Key Vault Secrets Officer"),
  );
  yield* ensure(
    "roleAssignment",
    "vaultAccessForGateway",
    desired.vaultAccess(tenant, vault.id, identity.principalId, "Key Vault Secrets User"),
  );
  const loopGuid = yield* ensureSecret({ work, step: "loopGuid", vaultUrl: vault.url, entraTenantId, purpose: "loopGuid" });
  const adminPassword = yield* ensureSecret({
    work,
    step: "adminPassword",
    vaultUrl: vault.url,
    entraTenantId,
    purpose: "adminPassword",
  });
  const publicIp = yield* ensure("publicIpAddress", "publicIpAddress", desired.publicIpAddress(tenant));
  return {
    loopGuid,
    adminPassword,
    identityId: identity.id,
    identityClientId: identity.clientId,
    smartHosts: [publicIp.fqdn],
    egressIps: [publicIp.ipAddress],
    publicIpAddressId: publicIp.id,
    fqdn: publicIp.fqdn,
  };
}

export interface BranchInput {
  tenant: Onboarding;
  ground: Ground;
}

/** Manual, chapters 2 and 3: network rules first, because nothing may listen before it is guarded; the guest once the VM runs. */
export const buildGateway = branch("buildGateway", function* (context, { tenant, ground }: BranchInput): Routine<void> {
  const { ensure } = resourceSteps<Resources>(context, tenant.work, tenant.pace);
  const { readMailRoute, readGuestGeneration } = stepsOf<OnboardingActivities>(context, tenant.pace.patience);
  const networkSecurityGroup = yield* ensure(
    "networkSecurityGroup",
    "networkSecurityGroup",
    desired.networkSecurityGroup(tenant),
  );
  const network = yield* ensure("virtualNetwork", "virtualNetwork", desired.virtualNetwork(tenant, networkSecurityGroup.id));
  const networkInterface = yield* ensure(
    "networkInterface",
    "networkInterface",
    desired.networkInterface(tenant, network.subnetId, networkSecurityGroup.id, ground.publicIpAddressId),
  );
  yield* ensure("gatewayVm", "gatewayVm", desired.gatewayVm(tenant, networkInterface.id, ground));
  const route = yield* readMailRoute({ organization: desired.organization(tenant), domain: desired.mainDomain(tenant) });
  // As late as can be: a credential that was rotated meanwhile is not taken away again.
  const generation = yield* readGuestGeneration({ work: tenant.work });
  yield* ensure("guest", "guest", desired.guest(tenant, ground, route, generation));
});

/** Client id and object id of the WebClient's application. */
export interface Application {
  appId: string;
  objectId: string;
}

/** Manual, chapter 5: the WebClient's application, whose redirect URI is the gateway's name. */
export const registerApplications = branch(
  "registerApplications",
  function* (context, { tenant, ground }: BranchInput): Routine<Application> {
    const { ensure } = resourceSteps<Resources>(context, tenant.work, tenant.pace);
    const wanted = desired.webClientApplication(tenant, ground);
    const { appId, objectId } = yield* ensure("webClientApplication", "webClientApplication", wanted);
    return { appId, objectId };
  },
);

/**
 * Manual, chapter 4: both connectors exist before any rule sends mail through them, and the guard before any rule believes the header.
 * The forwarding rule concerns the probe mailbox only, so that its propagation overlaps the VM's build and nobody's mail waits for a
 * gateway that isn't there.
 */
export const connectMailFlow = branch("connectMailFlow", function* (context, { tenant, ground }: BranchInput): Routine<void> {
  const { ensure } = resourceSteps<Resources>(context, tenant.work, tenant.pace);
  yield* ensure("inboundConnector", "inboundConnector", desired.inboundConnector(tenant, ground));
  yield* ensure("outboundConnector", "outboundConnector", desired.outboundConnector(tenant, ground));
  if (tenant.spec.connectionFilter)
    yield* ensure("connectionFilter", "connectionFilter", desired.connectionFilter(tenant, ground));
  yield* ensure("guardRule", "guardRule", desired.guardRule(tenant, ground));
  yield* ensure("approvalRule", "approvalRule", desired.approvalRule(tenant, ground));
  yield* ensure("forwardingRule", "forwardingRule", desired.forwardingRule(tenant, ground, tenant.piloted ? "pilot" : "probe"));
});

/**
 * Production mail moves only after the gateway's STARTTLS is proven, a probe mail came back with this tenant's header, and inbound
 * connector and approval rule were read back. A proof of this very mail flow that still stands is not repeated.
 */
function* proveAndPilot(context: OrchestrationContext, tenant: Onboarding, ground: Ground): Routine<LoopEvidence> {
  const { work, pace } = tenant;
  const { checkProof, checkStartTls } = stepsOf<OnboardingActivities>(context, pace.patience);
  const { ensure, confirm } = resourceSteps<Resources>(context, work, pace);
  const loop = desired.loop(tenant, ground);

  yield* confirm("inboundConnector", "inboundConnectorReadBack", desired.inboundConnector(tenant, ground));
  yield* confirm("approvalRule", "approvalRuleReadBack", desired.approvalRule(tenant, ground));
  const known = tenant.piloted ? (yield* checkProof({ work, loop })).evidence : undefined;
  if (known) return known;

  yield* checkStartTls({ work, loop });
  const deadline = secondsNow(context) + pace.probeDeadlineInSeconds;
  yield* child(context, proveLoop, { work, pace, loop, step: "probeMail", round: 1, deadline }, "probe");
  yield* ensure("forwardingRule", "pilotScope", desired.forwardingRule(tenant, ground, "pilot"));
  const pilotDeadline = secondsNow(context) + pace.probeDeadlineInSeconds;
  return yield* child(
    context,
    proveLoop,
    { work, pace, loop, step: "pilotProbeMail", round: 1, deadline: pilotDeadline },
    "pilot-probe",
  );
}

/** How a probe mail came back. */
export interface LoopEvidence {
  subject: string;
  /** `Received:` headers, the first hop first. */
  hops: string[];
  at: string;
}

export interface LoopProof {
  work: Work;
  pace: OnboardingPace;
  loop: Loop;
  step: "probeMail" | "pilotProbeMail";
  round: number;
  /** Seconds since 1970. */
  deadline: number;
}

/**
 * How often a mail is looked for before the next one is sent: rules propagate, so an early mail may go round the gateway. Each mail is
 * given twice the time of the one before, so that a slow loop is proven too: a mail that comes back after the next one was sent isn't
 * looked for any more.
 */
const looksFor = (round: number): number => FEWEST_LOOKS * 2 ** Math.min(round - 1, MOST_DOUBLINGS);
const FEWEST_LOOKS = 4;
const MOST_DOUBLINGS = 4;

/** Propagation is observed, never slept: mail after mail until one comes back through the gateway. One mail an execution. */
export const proveLoop = branch("proveLoop", function* (context, proof: LoopProof): Routine<LoopEvidence> {
  const { sendProbe, checkProbe, failProbe } = stepsOf<OnboardingActivities>(context, proof.pace.patience);
  const { work, pace, loop, step, round, deadline } = proof;
  const subject = `Gatehouse probe ${work.operationId} ${step} ${round}`;
  yield* sendProbe({ work, step, loop, subject });
  for (let look = 1; look <= looksFor(round) && secondsNow(context) <= deadline; look++) {
    yield* wait(context, pace.probeIntervalInSeconds);
    const probe = yield* checkProbe({ work, step, loop, subject });
    if (probe.found === "looped") return probe.evidence;
    if (probe.found === "bypassed") break;
  }
  if (secondsNow(context) > deadline) throw errorOf(yield* failProbe({ work, step, loop }));
  context.df.continueAsNew({ ...proof, round: round + 1 });
  return { subject, hops: [], at: "" }; // nobody sees it: the next execution answers
});
