/**
 * The step graph of a repair: a look, a step for each thing that differs in the order of the manual, and a look again. What sends mail is
 * brought back when its way is proven.
 */
import { standingOf } from "../../shared/desired/target.ts";
import { onboardingSteps, type StepTitle } from "../../shared/runbook/steps.ts";
import type { TenantRecord } from "../../shared/stores/tenants.ts";
import { sendsMail } from "./compare.ts";

export const LOOK = "look";
export const START_TLS = "startTls";
export const COMPARED = "compared";

/** `chosen` comes in the manual's order from the comparison: what carries mail before what sends mail there. */
export function repairSteps(tenant: TenantRecord, chosen: string[]): StepTitle[] {
  const known = new Map(standingSteps(tenant).map((step) => [step.name, step]));
  const firstToSend = chosen.find((name) => sendsMail.has(name));
  const proof: StepTitle = { name: START_TLS, title: "Exchange Online reaches the gateway with STARTTLS", branch: "proof" };
  return [
    { name: LOOK, title: "What differs, seen once more", branch: "access" },
    ...chosen.flatMap((name) => [
      ...(name === firstToSend ? [proof] : []),
      known.get(name) ?? { name, title: name, branch: "mailFlow" as const },
    ]),
    { name: COMPARED, title: "Seen again: as it is wanted", branch: "proof" },
  ];
}

/** Of a tenant whose pilot runs: its forwarding rules have another scope than an onboarding begins with. */
const titles: Record<string, string> = {
  forwardingRule: "Forwarding rule for the pilot",
  incomingForwardingRule: "Mail to the pilot forwarded, too",
};

export const standingSteps = (tenant: TenantRecord): StepTitle[] =>
  onboardingSteps(tenant.spec, standingOf(tenant), tenant.stage === "live").map((step) => ({
    ...step,
    title: titles[step.name] ?? step.title,
  }));
