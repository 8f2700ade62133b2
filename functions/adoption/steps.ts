/** The step graph of an adoption: a look, the mark of each object that a person may have made, and a look again. */
import { onboardingSteps, type StepTitle } from "../../shared/runbook/steps.ts";
import type { TenantSpec } from "../../shared/tenants/spec.ts";

export const LOOK = "look";
export const COMPARED = "compared";

/** What carries a mark, where there is one machine; Azure's first, mail last. */
const marked = new Set([
  "resourceGroup",
  "publicIpAddress",
  "networkSecurityGroup",
  "virtualNetwork",
  "availabilitySet",
  "networkInterface",
  "gatewayVm",
  "inboundConnector",
  "outboundConnector",
  "approvalRule",
  "forwardingRule",
]);

export const adoptionSteps = (spec: TenantSpec): StepTitle[] => [
  { name: LOOK, title: "What a person made, seen once more", branch: "access" },
  ...onboardingSteps(spec)
    .filter(({ name }) => marked.has(name))
    .map((step) => ({ ...step, title: titles[step.name] ?? step.title })),
  { name: COMPARED, title: "Seen again: all of it is marked, and as it was found", branch: "proof" },
];

/** Of a rule that may concern everybody. */
const titles: Record<string, string> = { forwardingRule: "Rule that sends mail to the gateway" };
