/**
 * Onboards one tenant: from nothing to proven mail flow for the pilot, in the order of the manual where that order protects mail, and at
 * the same time where it does not. Pure: every effect is a step.
 */
import type { Patience } from "../../shared/durable/patience.ts";
import type { Names } from "../../shared/azure/names.ts";
import type { ResourceActivities } from "../../shared/resources/activities.ts";
import type { Resources } from "../../shared/resources/index.ts";
import type { TenantSpec } from "../../shared/tenants/spec.ts";
import { abreast, beside, branch, child, together } from "../../shared/durable/branches.ts";
import { type ResourcePace, type Work, resourceSteps } from "../../shared/durable/resources.ts";
import type { OrchestrationContext, Routine, Task } from "../../shared/durable/routine.ts";
import { type Failure, errorOf, failureFrom, stepsOf } from "../../shared/durable/steps.ts";
import { begunWith } from "../../shared/durable/version.ts";
import { ControlPlaneError } from "../../shared/errors.ts";
import { secondsNow, wait, waitForEventOr } from "../../shared/durable/wait.ts";
import type { OnboardingActivities } from "./activities.ts";
import type { CertificateActivities } from "./certificate-activities.ts";
import { waitForCertificate } from "./certificate.ts";
import { cleanAddress } from "./clean-address.ts";
import { type LoopEvidence as ProbeEvidence, proveLoop } from "../../shared/proof/loop.ts";
import type { CanaryMail } from "./canary.ts";
import { proveCanary } from "./prove-canary.ts";
import { limitPrivilege } from "./limit-privilege.ts";
import type { Privilege } from "./privilege.ts";
import { dropMachines, drops, moveSmartHosts, widely } from "../../shared/runbook/moves.ts";
import {
  admitHandled,
  begin,
  type Begun,
  buildDatabase,
  buildGateway,
  buildKeyManager,
  buildMachine,
  buildUcmServer,
  closeWays,
  type Chapter,
  connectMailFlow,
  giveOwnRoles,
  forwardDomains,
  forwardGroups,
  type Hands,
  install,
  type Installation,
  keepSecrets,
  layNetwork,
  makeConnectors,
  prepareGround,
  prepareVault,
  publishSpf,
  registerApplications,
  reservePlaces,
} from "../../shared/runbook/runbook.ts";
import { settle } from "../../shared/runbook/settling.ts";
import { handsCompleting } from "../../shared/runbook/completing-hands.ts";
import type { Completion } from "../../shared/desired/completion.ts";
import type { SecretReference } from "../../shared/vault/reference.ts";
import type { SpfState } from "./spf.ts";
import type { Ground } from "../../shared/desired/state.ts";
import { asAddressed } from "../../shared/desired/replaced-address.ts";
import { narrowed, type Standing } from "../../shared/desired/standing.ts";
import * as desired from "../../shared/desired/state.ts";

/** What an onboarding is started with; nothing of it changes while it runs, whatever settings and specs do meanwhile. */
export interface Onboarding {
  work: Work;
  spec: TenantSpec;
  names: Names;
  piloted: boolean;
  live?: boolean | undefined;
  /** Where the spec asks for another number of machines than stand. */
  standing?: Standing | undefined;
  /** While its loop GUID is being replaced. */
  otherLoopGuid?: SecretReference | undefined;
  /** Of an installation that a person made. */
  completion?: Completion | undefined;
  pace: OnboardingPace;
}

export interface OnboardingPace extends ResourcePace {
  patience: Patience;
  consentCheckIntervalInSeconds: number;
  consentExpiryInSeconds: number;
  probeIntervalInSeconds: number;
  probeDeadlineInSeconds: number;
  /** Until every server knows what was written; left out by onboardings that were begun before any waited for it. */
  settleInSeconds?: number;
}

export function* onboardTenant(context: OrchestrationContext, tenant: Onboarding): Routine<void> {
  const { beginOnboarding, checkPreflight, keepForDayTwo, checkUcmReadiness, checkSpf, finishOnboarding, failOnboarding } =
    stepsOf<OnboardingActivities>(context, tenant.pace.patience);
  const { work } = tenant;
  try {
    yield* beginOnboarding({ work });
    yield* proveAccess(context, tenant);
    const found = yield* checkPreflight({ work, spec: tenant.spec, names: tenant.names });
    const wide = widely(tenant);
    const newAddresses = begunWith(context, "1.3.0") ? found.newAddresses : undefined;
    const hands = handsOf(context, wide);
    const { ground: all, applications, databases } = yield* install(hands, wide, newAddresses);
    const ground = tenant.standing ? narrowed(all, tenant.names) : all;
    const addressed = asAddressed(tenant, ground.regions);
    if (tenant.standing?.smartHosts) yield* hands.together<[void]>(begin(moveSmartHosts, { tenant, ground }, "smart-hosts"));
    const evidence = yield* proveAndPilot(context, tenant, ground, all);
    // Only now: until a mail came back by the one, the other was there too.
    if (ground.certificate)
      yield* hands.drop("inboundConnector", "otherConnector", desired.otherInboundConnector(tenant, ground));
    yield* keepForDayTwo({ work, ground, application: applications });
    if (drops(tenant)) yield* hands.together<[void]>(begin(dropMachines, { tenant: addressed, ground: all }, "dropped"));
    const { spec, names } = tenant;
    const ucm = spec.ucm ? yield* checkUcmReadiness({ work, spec, names }) : undefined;
    const spf = spec.spf ? yield* settleSpf() : undefined;
    const privilege = spec.microsoft365.leastPrivilege === true ? yield* limit() : undefined;
    yield* finishOnboarding({ work, privilege, loop: desired.loop(tenant, ground), evidence, databases, ucm, spf });

    function* settleSpf(): Routine<SpfState[]> {
      yield* hands.together<[void]>(begin(publishSpf, { tenant, ground, earlier: "go" }, "spf-settled"));
      return yield* checkSpf({ work, spec, addresses: desired.egressIps(ground) });
    }

    /** Last: whatever goes wrong with it, the mail runs. */
    function* limit(): Routine<Privilege> {
      const deadline = secondsNow(context) + tenant.pace.probeDeadlineInSeconds;
      return yield* child(context, limitPrivilege, { work, spec, pace: tenant.pace, phase: "first", deadline }, "privilege");
    }
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

/** Raised by the consent callback and by a completed task; only a hint to look at once, since what the browser brings proves nothing. */
export const CONSENT_ANSWERED = "consentAnswered";

/** Looks until access is proven; one look an execution, so that a wait of weeks keeps a short history. */
export const waitForAccess = branch("waitForAccess", function* (context, access: AccessWait): Routine<void> {
  const { checkAccess, failAccess } = stepsOf<OnboardingActivities>(context, access.pace.patience);
  const { work, spec, pace, wanted, deadline, checks } = access;
  const waiting = { instanceId: context.df.instanceId, event: CONSENT_ANSWERED };
  const found = yield* checkAccess({ work, spec, wanted, first: checks === 0, deadline, waiting });
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

/** Hands that make true what the runbook names. */
function handsOf(context: OrchestrationContext, tenant: Onboarding): Hands<Task> {
  const { work, spec, names, completion, pace } = tenant;
  const { ensure, remove, drop } = resourceSteps<Resources>(context, work, pace);
  const { recordFailure } = stepsOf<ResourceActivities>(context, pace.patience);
  const {
    ensureSecret,
    findNamedSecrets,
    choosePlacement,
    chooseRolePlacement,
    readOwnPrincipal,
    readMailRoute,
    readGuestGeneration,
  } = stepsOf<OnboardingActivities>(context, pace.patience);
  const { checkSmartHosts, checkDrained, forgetMachines } = stepsOf<OnboardingActivities>(context, pace.patience);
  const { checkCertificateShown } = stepsOf<CertificateActivities>(context, pace.patience);
  const hands: Hands<Task> = {
    ensure,
    *ensureIfPossible(kind, step, wanted) {
      try {
        yield* ensure(kind, step, wanted);
      } catch (error) {
        yield* recordFailure({ work, step, failure: failureFrom(error) });
      }
    },
    remove,
    drop,
    settled: (step) => settle(context, { work, step, seconds: pace.settleInSeconds ?? 0, patience: pace.patience }),
    proveSmartHosts: (loop) => checkSmartHosts({ work, loop }),
    *drained(step, virtualMachine) {
      const since = secondsNow(context);
      for (let last = false; ; last = secondsNow(context) - since > pace.operationDeadlineInSeconds) {
        const drained = yield* checkDrained({ work, step, virtualMachine, since, last });
        if (drained.drained) return;
        yield* wait(context, DRAINED_EVERY_PROBES * pace.probeIntervalInSeconds);
      }
    },
    forget: (virtualMachines) => forgetMachines({ work, names, virtualMachines }),
    cleanAddress: (wanted) => cleanAddress(context, tenant, wanted),
    placement: (region) => choosePlacement({ work, spec, names, region }),
    rolePlacement: (role) => chooseRolePlacement({ work, spec, names, role }),
    secret: (wanted) => ensureSecret({ work, ...wanted }),
    namedSecrets: (wanted) => findNamedSecrets({ work, ...wanted }),
    *ownPrincipal(subscription) {
      return (yield* readOwnPrincipal(subscription)).principalId;
    },
    *certificate(wanted) {
      const deadline = secondsNow(context) + pace.consentExpiryInSeconds;
      yield* child(context, waitForCertificate, { work, pace, wanted, deadline, checks: 0 }, "certificate");
      const found = yield* ensure("tlsCertificate", "tlsCertificate", wanted);
      if (found.pending) throw new ControlPlaneError("CertificatePending", "the certificate is not there yet", 409);
      return found;
    },
    showsCertificate: (seen) => checkCertificateShown({ work, ...seen }),
    mailRoute: () => readMailRoute(desired.mailRouteWanted({ spec })),
    guestGeneration: () => readGuestGeneration({ work }),
    begunWith: (version) => begunWith(context, version),
    abreast: <Results extends unknown[]>(...walks: { [Index in keyof Results]: Routine<Results[Index]> }) =>
      abreast<Results>(context, ...walks),
    together: <Results extends unknown[]>(...begun: { [Index in keyof Results]: Begun<Results[Index]> }) =>
      together<Results>(context, ...begun),
    beside: (begun, walk) => beside(context, begun, walk),
  };
  return completion ? handsCompleting(hands, completion) : hands;
}

/** Machines report every ten minutes; looking oftener only makes history. */
const DRAINED_EVERY_PROBES = 4;

/** A chapter as an orchestration of its own. */
const orchestrated = <Input extends { tenant: Installation }, Result>({ name, walk }: Chapter<Input, Result>) =>
  branch(name, function* (context, input: Input & { tenant: Onboarding }): Routine<Result> {
    return yield* walk(handsOf(context, input.tenant), input);
  });

/** The orchestrations of the runbook's chapters. */
export const chapters = {
  prepareGround: orchestrated(prepareGround),
  prepareVault: orchestrated(prepareVault),
  keepSecrets: orchestrated(keepSecrets),
  layNetwork: orchestrated(layNetwork),
  reservePlaces: orchestrated(reservePlaces),
  buildGateway: orchestrated(buildGateway),
  buildMachine: orchestrated(buildMachine),
  buildDatabase: orchestrated(buildDatabase),
  buildKeyManager: orchestrated(buildKeyManager),
  buildUcmServer: orchestrated(buildUcmServer),
  registerApplications: orchestrated(registerApplications),
  connectMailFlow: orchestrated(connectMailFlow),
  makeConnectors: orchestrated(makeConnectors),
  admitHandled: orchestrated(admitHandled),
  giveOwnRoles: orchestrated(giveOwnRoles),
  publishSpf: orchestrated(publishSpf),
  moveSmartHosts: orchestrated(moveSmartHosts),
  dropMachines: orchestrated(dropMachines),
};

/**
 * Production mail moves only after the gateway's STARTTLS is proven, a probe mail came back with this tenant's header, and inbound
 * connector and approval rule were read back; they accept the addresses of machines that are to go, too. A proof of this very mail flow that still stands is not repeated.
 */
function* proveAndPilot(
  context: OrchestrationContext,
  tenant: Onboarding,
  ground: Ground,
  accepted: Ground,
): Routine<LoopEvidence> {
  const { work, pace } = tenant;
  const { checkProof, checkStartTls } = stepsOf<OnboardingActivities>(context, pace.patience);
  const { ensure, confirm } = resourceSteps<Resources>(context, work, pace);
  const loop = desired.loop(tenant, ground);

  yield* abreast<unknown[]>(
    context,
    confirm("inboundConnector", "inboundConnectorReadBack", desired.inboundConnector(tenant, accepted)),
    confirm("approvalRule", "approvalRuleReadBack", desired.approvalRule(tenant, accepted)),
  );
  const known = tenant.piloted ? (yield* checkProof({ work, loop })).evidence : undefined;
  const hands = handsOf(context, tenant);
  if (known) {
    yield* closeWays(hands, tenant, ground);
    return known;
  }

  yield* checkStartTls({ work, loop, ground });
  const deadline = secondsNow(context) + pace.probeDeadlineInSeconds;
  yield* child(context, proveLoop, { work, pace, loop, step: "probeMail", round: 1, deadline }, "probe");
  // Before the marked mails, which show what the spec has.
  yield* closeWays(hands, tenant, ground);
  const canary = loop.canary
    ? yield* child(
        context,
        proveCanary,
        { work, pace, loop, round: 1, deadline: secondsNow(context) + pace.probeDeadlineInSeconds },
        "canary",
      )
    : undefined;
  // What a person's rule has sent there all along goes there by the domains' rules before that rule loses it.
  if (tenant.completion?.live) yield* forwardDomains(hands, tenant, ground);
  yield* ensure("forwardingRule", "pilotScope", desired.forwardingRule(tenant, ground, "pilot"));
  const incoming = desired.incomingForwardingRule(tenant, ground, "pilot");
  if (incoming) yield* ensure("incomingForwardingRule", "incomingPilotScope", incoming);
  if (!tenant.piloted) yield* forwardGroups(hands, tenant, ground);
  const pilotDeadline = secondsNow(context) + pace.probeDeadlineInSeconds;
  const evidence = yield* child(
    context,
    proveLoop,
    { work, pace, loop, step: "pilotProbeMail", round: 1, deadline: pilotDeadline },
    "pilot-probe",
  );
  return canary ? { ...evidence, canary } : evidence;
}

/** How a probe mail came back. */
export interface LoopEvidence extends ProbeEvidence {
  /** Where the spec asks for them. */
  canary?: CanaryMail[];
}
