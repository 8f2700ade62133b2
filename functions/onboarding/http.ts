/** Onboarding's doors: plan, start, the consent link, and where the consent page sends the administrator's browser. */
import { randomUUID } from "node:crypto";
import type { DurableClient } from "durable-functions";
import { accepted, endpoint } from "../../shared/api/endpoint.ts";
import { refusal } from "../../shared/api/error-codes.ts";
import { htmlPage } from "../../shared/api/html.ts";
import { instanceOf, startOperation, type TenantOperation } from "../../shared/durable/tenant-operation.ts";
import type { TenantRecord } from "../../shared/stores/tenants.ts";
import { CONSENT_ANSWERED, onboardTenant, type Onboarding } from "./orchestrator.ts";
import { onboardingSteps } from "../../shared/runbook/steps.ts";
import type { Names } from "../../shared/azure/names.ts";
import { widest } from "../../shared/desired/standing.ts";
import { completionOf, refuseIncompletable } from "../../shared/desired/completion.ts";
import { claimCustomer, refuseOthersCustomer } from "../../shared/stores/customer-claims.ts";
import { leftBehind } from "../../shared/tenants/left-behind.ts";
import type { TenantSpec } from "../../shared/tenants/spec.ts";
import { otherLoopGuidOf, piloted, standingOf, targetOf } from "../../shared/desired/target.ts";
import { waysOpened } from "../../shared/desired/ways.ts";
import type { OnboardingWorld } from "./world.ts";

const CONSENT_PURPOSE = "consent";
const CONSENT_LIFETIME_IN_SECONDS = 3600;

/** POST …/plan: reads only; what can't be read yet is said to be unknown. */
export const planOnboarding = (world: OnboardingWorld) =>
  endpoint("planOnboarding", world, async ({ caller, params, body }) => {
    const { operation = "onboarding", spec, ...asked } = body ?? {};
    const known = await world.stores.tenants.get(caller.partnerId, params.tenantId);
    if (spec !== undefined && operation !== "onboarding")
      throw refusal("InvalidRequest", "only an onboarding brings another spec about", { target: "spec" });
    const { steps, gateway, back, certificateName } = asked;
    if (steps !== undefined && operation !== "repair")
      throw refusal("InvalidRequest", "only a repair is of some steps", { target: "steps" });
    const replaced = operation === "addressReplacement";
    const renamed = operation === "certificateRenaming";
    if (gateway !== undefined && !replaced)
      throw refusal("InvalidRequest", "only an address is replaced of one gateway", { target: "gateway" });
    if (back !== undefined && !replaced && !renamed)
      throw refusal("InvalidRequest", "only an address and a certificate's name have a way back", { target: "back" });
    if (certificateName !== undefined && !renamed)
      throw refusal("InvalidRequest", "only a certificate is renamed", { target: "certificateName" });
    const tenant = spec === undefined ? known : asIf(known, spec);
    await refuseOthersCustomer(world.stores, tenant);
    return { body: await world.plans.make(operation, tenant, asked) };
  });

/** As PUT would have it, and refused as there. */
function asIf(tenant: TenantRecord, spec: TenantSpec): TenantRecord {
  if (!piloted(tenant)) return { ...tenant, spec };
  const left = leftBehind(tenant.spec, spec);
  if (left) throw refusal("TenantInUse", `tenant ${tenant.id} stands, and ${left.message}`, { target: `spec.${left.target}` });
  return { ...tenant, spec };
}

/** POST …/onboard: with the same Operation-Id asking twice gives the same operation; without, a second one is refused while one runs. */
export const startOnboarding = (world: OnboardingWorld, client: DurableClient) =>
  endpoint("startOnboarding", world, async ({ caller: { partnerId }, params: { tenantId }, headers, body }) => {
    const asked = { partnerId, tenantId, operationId: headers["operation-id"], body };
    const operation = await startOperation(world.stores, client, onboardingOf(world, body?.plan), asked);
    return accepted(world, operation);
  });

export const onboardingOf = (world: OnboardingWorld, plan: string | undefined): TenantOperation<Onboarding> => ({
  kind: "onboarding",
  orchestrator: onboardTenant,
  stepsOf: (tenant) => onboardingSteps(tenant.spec, standingOf(tenant), tenant.stage === "live"),
  inputOf(tenant, operationId) {
    const { work, spec, names, ...refusing } = targetOf(tenant);
    const standing = standingOf(tenant);
    const begun = {
      work: { ...work, operationId },
      spec,
      names,
      ...refusing,
      pace: world.pace,
      ...(standing && { standing }),
      ...otherLoopGuidOf(tenant),
    };
    const completion = completionOf(tenant);
    // Of what a person made nothing is proven.
    if (completion) return { ...begun, piloted: false, completion };
    return { ...begun, piloted: piloted(tenant), ...(tenant.stage === "live" && { live: true }) };
  },
  async check(tenant) {
    refuseIncompletable(tenant);
    if (tenant.stage === "bypassed")
      throw refusal(
        "TenantBypassed",
        `mail of tenant ${tenant.id} is led round its gateway: POST /api/tenants/${tenant.id}/restore, then onboard again`,
      );
    await claimCustomer(world.stores, tenant);
    await world.plans.insistOn("onboarding", tenant, plan);
  },
  // Names are derived once and kept.
  factsOf: (tenant) => ({
    names: widest(targetOf(tenant).names, tenant.facts["names"] as Names | undefined),
    ways: waysOpened(tenant),
  }),
});

/** GET …/consent: a fresh link each time; its state is signed, short-lived and good for one answer. */
export const getConsent = (world: OnboardingWorld) =>
  endpoint("getConsent", world, async ({ caller, params }) => {
    const tenant = await world.stores.tenants.get(caller.partnerId, params.tenantId);
    await claimCustomer(world.stores, tenant);
    const { id, spec, operationId } = tenant;
    const expiresAt = new Date(world.clock.now() + CONSENT_LIFETIME_IN_SECONDS * 1000).toISOString();
    const answer: ConsentState = {
      partnerId: caller.partnerId,
      tenantId: id,
      nonce: randomUUID(),
      expiresAt,
      ...(operationId ? { operationId } : {}),
    };
    const state = await world.signer.sign({ ...answer }, CONSENT_PURPOSE, CONSENT_LIFETIME_IN_SECONDS);
    const redirectUri = `${world.settings.publicUrl}/api/consent/callback`;
    return { body: { url: world.consentUrl({ organization: spec.microsoft365.tenantId, redirectUri, state }), expiresAt } };
  });

interface ConsentState {
  partnerId: string;
  tenantId: string;
  nonce: string;
  expiresAt: string;
  operationId?: string;
}

/** GET /api/consent/callback: believes nothing of what the browser brings but our own signed state, and only wakes whoever waits. */
export const acceptConsent = (world: OnboardingWorld, client: DurableClient) =>
  endpoint("acceptConsent", world, async ({ query }) => {
    const state = query.state
      ? ((await world.signer.verify(query.state, CONSENT_PURPOSE)) as ConsentState | undefined)
      : undefined;
    if (!state)
      throw refusal("ConsentStateInvalid", "this link is not ours or no longer valid; nothing was changed", { target: "state" });
    if (!(await world.stores.usedStates.use(state.nonce, new Date(state.expiresAt))))
      throw refusal("ConsentStateInvalid", "this link was used already; nothing was changed", { target: "state" });
    const tenant = await world.stores.tenants.find(state.partnerId, state.tenantId);
    if (tenant?.operationId) {
      const running = await world.stores.operations.find(tenant.partnerId, tenant.operationId);
      const waiting = `${instanceOf(tenant.partnerId, tenant.operationId, running?.attempt ?? 1)}-consent`;
      // Nobody may be waiting: the onboarding has ended, or sees the consent by itself at its next look.
      await client
        .raiseEvent(waiting, CONSENT_ANSWERED, null)
        .catch((error: unknown) => world.log.information("nobody waits for this consent", { waiting, error }));
    }
    if (query.error)
      return page(
        "Consent was not granted",
        `${query.error_description ?? query.error} The onboarding goes on waiting; the link's sender can make a new one.`,
      );
    return page("Thank you", "Consent was given. It is being checked now; you can close this window.");
  });

const page = (title: string, text: string) => ({ body: htmlPage(title, [text]) });
