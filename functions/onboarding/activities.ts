/** What onboarding does to the world beside its resources: proves access, makes secrets, sends and reads probe mails, records the end. */
import { createHash } from "node:crypto";
import { skipped } from "../../shared/proof/skipped.ts";
import type { OperationChange } from "../../shared/stores/operations.ts";
import { type Failure, failureFrom } from "../../shared/durable/steps.ts";
import type { Work } from "../../shared/durable/resources.ts";
import { ControlPlaneError, detailOf } from "../../shared/errors.ts";
import { recordingSteps } from "../../shared/resources/activities.ts";
import type { Check } from "../../shared/api/plan.ts";
import { gatewayIdOf } from "../../shared/api/gateway-id.ts";
import type { MachineRole, Names } from "../../shared/azure/names.ts";
import { virtualMachineId } from "../../shared/azure/place.ts";
import { type GatewayCertificate, versionOf } from "../../shared/desired/certificate.ts";
import { machinesOf, regionSuffix } from "../../shared/desired/machines.ts";
import { addressFindings, type NewAddress } from "../../shared/desired/new-addresses.ts";
import { home } from "../../shared/desired/state.ts";
import { type Target, targetOf } from "../../shared/desired/target.ts";
import { waysOf } from "../../shared/desired/ways.ts";
import type { TenantRecord } from "../../shared/stores/tenants.ts";
import type { SecretReference } from "../../shared/vault/reference.ts";
import { checkAccess } from "../../shared/runbook/access.ts";
import { accessTask } from "./access-tasks.ts";
import { type MailRoute, mailRouteOf, type MailRouteQuestion } from "../../shared/desired/mail-route.ts";
import type { Applications, Ground, GuestGeneration, Loop } from "../../shared/desired/state.ts";
import { agentsOf, settledGuestOf } from "../../shared/runbook/guest.ts";
import { proveReachable } from "../../shared/proof/gateways.ts";
import type { LoopProbe, ProbeFound } from "../../shared/proof/loop-activities.ts";
import type { AccessWait, LoopEvidence } from "./orchestrator.ts";
import type { Databases, NamedSecretsWanted, SecretWanted } from "../../shared/runbook/runbook.ts";
import { type Placement, placementOf, rolePlacementOf } from "../../shared/runbook/placement.ts";
import { blockedBy, outboundSmtpOf } from "./outbound-smtp.ts";
import { preflightOf, refuseFailed } from "./preflight.ts";
import type { Privilege } from "./privilege.ts";
import { chosenSecrets, tenantSecrets } from "../../shared/runbook/secrets.ts";
import { followSpf, type SpfState, spfStates } from "./spf.ts";
import { setIsPlanned } from "../../shared/runbook/steps.ts";
import { loopGuidInUse } from "./loop-guid-in-use.ts";
import { lookAround, undisturbed } from "../../shared/runbook/surroundings.ts";
import { followUcmReport } from "./ucm-report.ts";
import { ucmReadiness } from "./ucm-readiness.ts";
import { findNewAddresses } from "./new-address-activities.ts";
import { keepPasswords } from "./keep-passwords.ts";
import type { OnboardingWorld } from "./world.ts";

export type OnboardingActivities = ReturnType<typeof createOnboardingActivities>;

type AccessState = { state: "granted" } | { state: "pending"; expired: Failure } | { state: "refused"; failure: Failure };
interface AccessLook extends Pick<AccessWait, "work" | "spec" | "wanted" | "deadline"> {
  first: boolean;
  /** Who goes on when it is granted. */
  waiting: { instanceId: string; event: string };
}

export const createOnboardingActivities = (world: OnboardingWorld) => {
  const { azureAccess, probes, validateOutboundConnector, vaults, clock } = world;
  const { operations, tenants, credentials, leases, tasks } = world.stores;
  const recorded = recordingSteps(world.stores);
  const recordStep = ({ partnerId, operationId }: Work, step: string, change: Parameters<typeof operations.recordStep>[3]) =>
    operations.recordStep(partnerId, operationId, step, change);
  const recordProgress = ({ partnerId, operationId }: Work, change: OperationChange) =>
    operations.recordProgress(partnerId, operationId, change);
  const setConditions = ({ partnerId, tenantId }: Work, conditions: Parameters<typeof tenants.setConditions>[2]) =>
    tenants.setConditions(partnerId, tenantId, conditions);

  /** The last proof before the first thing is made: until here a spec with a mistake in it can still be put right. */
  const leaveRegistered = ({ partnerId, tenantId }: Work) =>
    tenants.change(partnerId, tenantId, ({ stage }) => (stage === "registered" ? { stage: "onboarding" } : undefined));

  /** An onboarding takes the newest that the vault has, too: then no machine keeps the one before. */
  async function keepCertificate(owner: { partnerId: string; tenantId: string }, certificate: GatewayCertificate): Promise<void> {
    const key = { ...owner, name: "smtpCertificate" as const };
    const current = versionOf(certificate);
    await credentials.add({ ...key, vaultUrl: certificate.secret.vaultUrl, objectId: "", clientId: "", current });
    await credentials.change(key, (known) => (known.current?.keyId === current.keyId ? undefined : { current, previous: null }));
  }

  async function findProbe({ organization, probeMailbox }: Loop, subject: string) {
    const found = await probes.findProbe(organization, probeMailbox, subject);
    if (found.state === "unknown")
      throw new ControlPlaneError(found.reason.code, `looking for a probe mail: ${found.reason.message}`, 503, true);
    return found.state === "arrived" ? found : undefined;
  }

  /** Exchange Online itself delivers to each of the connector's smart hosts. */
  const provedReachable = (work: Work, step: string, loop: Loop): Promise<void> =>
    recorded(work, step, async () => {
      await proveReachable(validateOutboundConnector, loop);
      return { result: undefined };
    });

  return {
    beginOnboarding: async ({ work }: { work: Work }): Promise<void> => {
      await recordProgress(work, { status: "Running" });
    },

    /** Consent by the token's tenant and roles and the verified domains; Azure by what our principal may do in the subscription. */
    checkAccess: async ({ work, spec, wanted, first, deadline, waiting }: AccessLook): Promise<AccessState> => {
      if (first) await recordStep(work, wanted, { status: "Running" });
      const found = await checkAccess(world, spec, wanted);
      const type = conditionOf[wanted];
      if (found.state === "refused") return found;
      if (found.state === "granted") {
        await tasks.end({ ...work, kind: wanted, subject: "" }, "done", found.message);
        await recordStep(work, wanted, { status: "Succeeded" });
        await recordProgress(work, { waitingFor: null });
        await setConditions(work, [{ type, status: "True", reason: "Proven", message: found.message }]);
        return { state: "granted" };
      }
      const { message } = found;
      const expiresAt = new Date(deadline * 1000).toISOString();
      const { id: taskId, link: url } = await tasks.open({ ...accessTask(world, work, spec, wanted, found), expiresAt, waiting });
      await recordProgress(work, { waitingFor: { kind: wanted, message, ...(url === undefined ? {} : { url }), taskId } });
      await setConditions(work, [{ type, status: "False", reason: "Waiting", message }]);
      const code = wanted === "consent" ? "ConsentRequired" : "AzureAccessMissing";
      return {
        state: "pending",
        expired: failureFrom(new ControlPlaneError(code, `nobody answered in time: ${message}`, 403)),
      };
    },

    failAccess: async ({
      work,
      wanted,
      failure,
    }: {
      work: Work;
      wanted: AccessWait["wanted"];
      failure: Failure;
    }): Promise<void> => {
      await tasks.giveUp({ ...work, kind: wanted, subject: "" }, failure.message);
      await recordProgress(work, { waitingFor: null });
      await recordStep(work, wanted, { status: "Failed", error: detailOf(failure) });
      await setConditions(work, [{ type: conditionOf[wanted], status: "False", reason: failure.code, message: failure.message }]);
    },

    /** Object id of our own service principal in the subscription's Entra tenant. */
    readOwnPrincipal: async ({
      entraTenantId,
      subscriptionId,
    }: {
      entraTenantId: string;
      subscriptionId: string;
    }): Promise<{ principalId: string }> => {
      const { principalId } = await azureAccess({ entraTenantId, subscriptionId });
      if (!principalId) throw new ControlPlaneError("AzureAccessMissing", "our service principal could not be read", 403, true);
      return { principalId };
    },

    /** The last look before the first thing is made. */
    checkPreflight: ({ work, spec, names }: Target & { work: Work }): Promise<{ newAddresses: NewAddress[] }> =>
      recorded(work, "preflight", async () => {
        const tenant = await tenants.get(work.partnerId, work.tenantId);
        const target = { work, spec, names };
        const [found, around] = await Promise.all([preflightOf(world, target, true), lookAround(world, tenant)]);
        refuseFailed([...found, ...around.checks]);
        await leaveRegistered(work);
        return { result: { newAddresses: await findNewAddresses(world, target) } };
      }),

    /** Sizes and places of a region's machines, named by the region's index; what stands keeps its own. */
    choosePlacement: async ({ work, spec, names, region }: PlacementStep): Promise<Placement> => {
      const at = regionSuffix(region);
      const placement = await recorded(work, `placement${at}`, async () => ({
        result: await placementOf(world.azure, { work, spec, names }, region),
      }));
      if (!placement.availabilitySet && setIsPlanned(spec)) await recordStep(work, `availabilitySet${at}`, { status: "Skipped" });
      return placement;
    },

    /** The same for a machine beside the gateways. */
    chooseRolePlacement: ({ work, spec, names, role }: Target & { work: Work; role: MachineRole }): Promise<Placement> =>
      recorded(work, `${role}Placement`, async () => ({
        result: await rolePlacementOf(world.azure, { work, spec, names }, role),
      })),

    /**
     * A secret that is made once per tenant and purpose: found, or generated straight into the tenant's vault. Key Vault has no write
     * that only the first one wins, so one try at a time may make it; and should one come so late that its lease is over, the tenant's
     * row decides, and the late one switches its own version off.
     */
    ensureSecret: ({ work, step, vaultUrl, entraTenantId, purpose }: SecretStep): Promise<SecretReference> =>
      recorded(work, step, async (begin) => {
        const { name, generate } = tenantSecrets[purpose];
        const { partnerId, tenantId } = work;
        const known = chosenSecrets(await tenants.get(partnerId, tenantId))[purpose];
        if (known) return { result: known, change: "unchanged" };
        const lease = await leases.acquire(`${vaultUrl} ${name}`, MAKING_A_SECRET_IN_SECONDS);
        if ("heldForSeconds" in lease)
          throw new ControlPlaneError(
            "SecretUnderway",
            `the secret ${name} is being made by another try of this step`,
            503,
            true,
          );
        try {
          const inUse = purpose === "loopGuid" ? await loopGuidInUse(world, await tenants.get(partnerId, tenantId)) : undefined;
          const first = await vaults.first(vaultUrl, name, entraTenantId);
          const found = first && (inUse === undefined || (await vaults.read(first, entraTenantId)) === inUse) ? first : undefined;
          const tags = { "gatehouse-partner": partnerId, "gatehouse-tenant": tenantId };
          if (!found) await begin({ action: "create", target: { kind: "secret", name } });
          const value = inUse ?? generate();
          const mine = found ?? (await vaults.write({ vaultUrl, name, value, entraTenantId, tags }));
          const chosen = chosenSecrets(
            await tenants.change(partnerId, tenantId, (tenant) => {
              const secrets = chosenSecrets(tenant);
              return secrets[purpose] ? undefined : { facts: { ...tenant.facts, secrets: { ...secrets, [purpose]: mine } } };
            }),
          )[purpose];
          if (chosen && chosen.version !== mine.version) await vaults.disable(mine, entraTenantId);
          return { result: chosen ?? mine, change: found ? "unchanged" : "created" };
        } finally {
          await lease.release();
        }
      }),

    /** Nobody's machine is built before they are there: only their owner can put them into the vault. */
    findNamedSecrets: ({
      work,
      step,
      vaultUrl,
      entraTenantId,
      names,
    }: NamedSecretsStep): Promise<Record<string, SecretReference>> =>
      recorded(work, step, async () => {
        const found = await Promise.all(names.map((name) => vaults.newest(vaultUrl, name, entraTenantId)));
        const missing = names.filter((_, index) => found[index] === undefined);
        if (missing.length > 0) throw namedSecretMissing(vaultUrl, missing);
        const present = names.flatMap((name, index) => (found[index] ? [[name, found[index]] as const] : []));
        return { result: Object.fromEntries(present) };
      }),

    /**
     * Mission B3: the gateway's smart host is the domain's own MX record in Microsoft 365, not whatever DNS shows the world. It relays to
     * all domains for what Exchange Online sends, and for nobody else.
     */
    readMailRoute: (wanted: MailRouteQuestion): Promise<MailRoute> => mailRouteOf(world, wanted),

    /** The generation of the guest's document and the credential in it, which rotation moves on. */
    readGuestGeneration: async ({ work: { partnerId, tenantId } }: { work: Work }): Promise<GuestGeneration> => ({
      ...(await settledGuestOf(world, { partnerId, tenantId })),
      agents: agentsOf(world),
    }),

    /** Exchange Online itself connects to the gateway by the connector, with STARTTLS, and sees its test mail accepted. */
    checkStartTls: async ({ work, loop, ground }: { work: Work; loop: Loop; ground?: Ground }): Promise<void> => {
      // From here on the machines may report: their own look at port 25 tells why, should no mail come back.
      if (ground) await registerAgents(world, await tenants.get(work.partnerId, work.tenantId), ground);
      await provedReachable(work, "startTls", loop);
    },

    /** The same for old and new smart hosts together, before the old ones go. */
    checkSmartHosts: ({ work, loop }: { work: Work; loop: Loop }): Promise<void> =>
      provedReachable(work, "smartHostsAnswer", loop),

    /** By a heartbeat since then that counts no mail in the machine's queue. `since` is in seconds since 1970. */
    checkDrained: async ({ work, step, virtualMachine, since, last }: DrainedStep): Promise<{ drained: boolean }> => {
      if (await skipped(operations, work, step)) return { drained: true };
      await recordStep(work, step, { status: "Running" });
      const found = await world.stores.heartbeats.find(work.partnerId, gatewayIdOf(work.tenantId, virtualMachine));
      const beat = found?.last;
      const drained = beat !== undefined && Date.parse(beat.receivedAt) / 1000 >= since && beat.queue?.count === 0;
      if (drained) await recordStep(work, step, { status: "Succeeded" });
      else if (last) {
        const count = beat?.queue?.count;
        const error = new ControlPlaneError(
          "MachineNotDrained",
          `${virtualMachine} is to go, and ${count === undefined || count === 0 ? "has not reported since mail was moved away from it" : `${count} mails wait in its queue`}; it stays, and its address stays accepted`,
          504,
        );
        await recordStep(work, step, { status: "Failed", error: detailOf(failureFrom(error)) });
        throw error;
      }
      return { drained };
    },

    /** Machines that are gone. */
    forgetMachines: async ({
      work,
      names,
      virtualMachines,
    }: {
      work: Work;
      names: Names;
      virtualMachines: string[];
    }): Promise<void> => {
      for (const name of virtualMachines) await world.stores.gateways.remove(work.partnerId, gatewayIdOf(work.tenantId, name));
      await tenants.change(work.partnerId, work.tenantId, ({ facts }) => ({ facts: { ...facts, names } }));
    },

    /** A probe that is there already is not sent again. */
    sendProbe: async ({ work, step, loop, subject }: LoopProbe & { subject: string }): Promise<void> => {
      await recordStep(work, step, { status: "Running" });
      const message = `waiting for a probe mail of ${loop.probeMailbox} to come back through ${gatewayOf(loop)}`;
      await recordProgress(work, { waitingFor: { kind: "propagation", message } });
      await probes.sendProbe(loop.organization, loop.probeMailbox, {
        subject,
        to: loop.probeMailbox,
        nonce: fingerprintOf(subject),
      });
    },

    checkProbe: async ({ work, step, loop, subject }: LoopProbe & { subject: string }): Promise<ProbeFound> => {
      const probe = await findProbe(loop, subject);
      if (!probe) return { found: "absent" };
      const loopGuid = await vaults.read(loop.loopGuid, loop.vaultTenantId);
      const marks = probe.headers.filter(({ name }) => name.toLowerCase() === loop.loopHeader.toLowerCase());
      if (marks.length !== 1 || marks[0]?.value.trim() !== loopGuid) return { found: "bypassed" };
      await recordStep(work, step, { status: "Succeeded" });
      await recordProgress(work, { waitingFor: null });
      return {
        found: "looped",
        evidence: { subject, hops: probe.receivedHops.toReversed(), at: new Date(clock.now()).toISOString() },
      };
    },

    failProbe: async ({ work, step, loop }: LoopProbe): Promise<Failure> => {
      const tenant = await tenants.get(work.partnerId, work.tenantId);
      const { findings } = await lookAround(world, tenant);
      const blocked = blockedBy(await outboundSmtpOf(world, { work, names: targetOf(tenant).names }));
      const failure = failureFrom(
        blocked ??
          new ControlPlaneError(
            "LoopUnproven",
            `no probe mail of ${loop.probeMailbox} came back through ${gatewayOf(loop)}, so no production mail was moved; look at the forwarding rule's place among other rules, at the gateway's SMTP queue and at its smart host`,
            504,
            false,
            findings.length === 0
              ? {}
              : { details: findings.map(({ code, message, remedy }) => ({ code, message: `${message}; ${remedy}` })) },
          ),
      );
      await recordStep(work, step, { status: "Failed", error: detailOf(failure) });
      return failure;
    },

    /** Whether the last proof was of this very mail flow: then nothing needs to be sent again. */
    checkProof: async ({ work, loop }: { work: Work; loop: Loop }): Promise<{ evidence?: LoopEvidence }> => {
      const { facts } = await tenants.get(work.partnerId, work.tenantId);
      const proof = facts.proof as { fingerprint: string; evidence: LoopEvidence } | undefined;
      if (proof?.fingerprint !== fingerprintOf(loop)) return {};
      const incoming = loop.incoming === true ? ["incomingPilotScope"] : [];
      const canary = loop.canary === true ? ["canaryMail"] : [];
      for (const step of ["startTls", "probeMail", ...canary, "pilotScope", ...incoming, "pilotProbeMail"])
        await recordStep(work, step, { status: "Skipped" });
      return { evidence: proof.evidence };
    },

    /** What rotation and later repairs start from: references and ids, and a credential that its first sweep finds due. */
    keepForDayTwo: async ({
      work,
      ground,
      application,
    }: {
      work: Work;
      ground: Ground;
      application: Applications;
    }): Promise<void> => {
      const { partnerId, tenantId } = work;
      const { appId: clientId, objectId } = application;
      const kept = { ...ground, applications: application, agents: agentsOf(world) };
      // What a person made is whole by now, and one like any other.
      const tenant = await tenants.change(partnerId, tenantId, ({ facts: { adopted: _adopted, ...facts }, spec }) => ({
        facts: { ...facts, ground: kept, ways: waysOf(spec) },
      }));
      await registerAgents(world, tenant, ground);
      const vaultUrl = ground.loopGuid.vaultUrl;
      const { exchangeWebServices: reader } = application;
      await credentials.add({ partnerId, tenantId, name: "clientSecret", vaultUrl, objectId, clientId });
      if (reader)
        await credentials.add({
          partnerId,
          tenantId,
          name: "exchangeWebServicesSecret",
          vaultUrl,
          objectId: reader.objectId,
          clientId: reader.appId,
        });
      await keepPasswords(world, tenant, ground);
      if (ground.certificate) await keepCertificate({ partnerId, tenantId }, ground.certificate);
    },

    /** What itrezzo UCM still lacks before it may be installed. */
    checkUcmReadiness: async ({ work, spec, names }: Target & { work: Work }): Promise<Check[]> => {
      await followUcmReport(world, await tenants.get(work.partnerId, work.tenantId));
      return ucmReadiness(world, { work, spec, names });
    },

    /** Mission C6: what the domains' own name servers say, and what a person still has to publish there. */
    checkSpf: ({ work, spec, addresses }: Pick<Target, "spec"> & { work: Work; addresses: string[] }): Promise<SpfState[]> =>
      recorded(work, "spfCheck", async () => {
        const states = await spfStates(world, { spec }, addresses);
        await followSpf(world.stores, work, states);
        return { result: states };
      }),

    /** The tenant's stage moves here and nowhere else, after the proof. */
    finishOnboarding: async ({ work, privilege, loop, evidence, databases, ucm, spf }: Finished): Promise<void> => {
      const { smartHosts, egressIps, loopHeader, probeMailbox, pilots } = loop;
      const moved = await tenants.change(work.partnerId, work.tenantId, ({ stage, facts }) => ({
        stage: stage === "live" ? "live" : "pilot",
        facts: { ...facts, drained: undefined, proof: { fingerprint: fingerprintOf(loop), evidence } },
      }));
      const created = await registerGateways(world, moved);
      const { findings: around } = await lookAround(world, moved);
      const findings = [...addressFindings(moved, egressIps), ...around];
      await setConditions(work, [
        // One that is known already is what the sweep over the fleet found last.
        ...(created
          ? [
              {
                type: "GatewayHealthy",
                status: "True" as const,
                reason: "LoopProven",
                message: "a probe mail came back through it",
              },
            ]
          : []),
        {
          type: "MailFlowConnected",
          status: "True",
          reason: "LoopProven",
          message: "a probe mail came back through the gateway",
        },
        undisturbed(around),
        { type: "Ready", status: "True", reason: "Onboarded", message: "the pilot's mail runs through the gateway" },
      ]);
      const outboundSmtp = await outboundSmtpOf(world, { work, names: targetOf(moved).names });
      await recordProgress(work, {
        status: "Succeeded",
        waitingFor: null,
        result: {
          stage: moved.stage,
          gateway: smartHosts[0],
          smartHosts,
          egressIps,
          pilots,
          ...(databases ? { databases } : {}),
          ...(outboundSmtp.length === 0 ? {} : { outboundSmtp }),
          ...(privilege === undefined ? {} : { privilege }),
          ...(findings.length === 0 ? {} : { findings }),
          proof: { ...evidence, mailbox: probeMailbox, header: loopHeader },
          ...(ucm === undefined ? {} : { ucm: { ready: ucm.every(({ status }) => status === "pass"), checks: ucm } }),
          ...(spf === undefined ? {} : { spf }),
        },
      });
    },

    failOnboarding: async ({ work, failure }: { work: Work; failure: Failure }): Promise<void> => {
      await setConditions(work, [{ type: "Ready", status: "False", reason: failure.code, message: failure.message }]);
      await recordProgress(work, { status: "Failed", waitingFor: null, error: detailOf(failure) });
    },
  };
};

/** From now on the sweep over the fleet watches them. True when one was not known yet. */
async function registerGateways({ stores }: OnboardingWorld, tenant: TenantRecord): Promise<boolean> {
  const target = targetOf(tenant);
  const ground = tenant.facts["ground"] as Ground;
  const { entraTenantId, subscriptionId } = home(target);
  let created = false;
  for (const { region, machine, address } of machinesOf(target, ground)) {
    const put = await stores.gateways.put({
      ...target.work,
      virtualMachineId: virtualMachineId({ subscriptionId, resourceGroup: region.resourceGroup, name: machine.virtualMachine }),
      entraTenantId,
      subscriptionId,
      address: address.ipAddress,
      fqdn: address.fqdn,
      region: region.region,
      state: { health: "healthy", reason: "LoopProven" },
    });
    created ||= put.created;
  }
  return created;
}

/** From now on the machines' own identity may report for them. */
async function registerAgents({ stores }: OnboardingWorld, tenant: TenantRecord, ground: Ground): Promise<void> {
  const target = targetOf(tenant);
  const { entraTenantId, subscriptionId } = home(target);
  for (const { region, machine } of machinesOf(target, ground)) {
    const { virtualMachine: name } = machine;
    await stores.heartbeats.register({
      partnerId: tenant.partnerId,
      gatewayId: gatewayIdOf(tenant.id, name),
      tenantId: tenant.id,
      virtualMachineId: virtualMachineId({ subscriptionId, resourceGroup: region.resourceGroup, name }),
      entraTenantId,
      clientId: ground.identityClientId,
    });
  }
}

interface Finished {
  work: Work;
  /** Mission D6, where the spec asks for it. */
  privilege?: Privilege | undefined;
  loop: Loop;
  evidence: LoopEvidence;
  databases?: Databases | undefined;
  /** Mission E10, where the tenant has a UCM server. */
  ucm?: Check[] | undefined;
  /** Mission C6, where the spec asks for it. */
  spf?: SpfState[] | undefined;
}

/** Two calls of the vault and two of the tenant's row; longer than each of them may take by itself. */
const MAKING_A_SECRET_IN_SECONDS = 60;

const gatewayOf = ({ smartHosts }: Loop): string => smartHosts.join(", ");

interface DrainedStep {
  work: Work;
  step: string;
  virtualMachine: string;
  since: number;
  /** Whether waiting is over: then what isn't drained is a failure. */
  last: boolean;
}

type SecretStep = SecretWanted & { work: Work };
type NamedSecretsStep = NamedSecretsWanted & { work: Work };

const namedSecretMissing = (vaultUrl: string, names: string[]): ControlPlaneError =>
  new ControlPlaneError(
    "NamedSecretMissing",
    `the vault ${vaultUrl} has no secret ${names.join(", ")}, which gateway.iqSuite names; put it there, then onboard again`,
    409,
    false,
    { target: "spec.gateway.iqSuite" },
  );

interface PlacementStep extends Target {
  work: Work;
  region: number;
}

const conditionOf = { consent: "ConsentGranted", azureAccess: "AzureAccessGranted" } as const;

/** What a proof is a proof of; the secret is named by its version. */
const fingerprintOf = (loop: Loop | string): string => createHash("sha256").update(JSON.stringify(loop)).digest("hex");
