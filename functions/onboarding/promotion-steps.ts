/** The step graphs of the ways from the pilot to everybody and back. */
import type { TenantSpec } from "../../shared/tenants/spec.ts";
import { liveTitles, type StepTitle } from "../../shared/runbook/steps.ts";

const step = (branch: StepTitle["branch"], name: string, title: string): StepTitle => ({ name, title, branch });

export const promotionSteps = (spec: Pick<TenantSpec, "pilot">): StepTitle[] => [
  step("access", "ready", "Gateways are healthy, and no blocklist has an address of theirs"),
  step("proof", "inboundConnectorReadBack", "Inbound connector read back"),
  step("proof", "approvalRuleReadBack", "Approval rule read back"),
  step("proof", "startTls", "Exchange Online reaches the gateway with STARTTLS"),
  step("proof", "probeMail", "A probe mail came back through the gateway"),
  ...liveTitles(spec),
  step("proof", "liveProbeMail", "A probe mail came back after widening"),
];

export const demotionSteps = (): StepTitle[] => [
  step("mailFlow", "incomingDomainForwardingRule", "Mail to everybody goes round the gateway again, where it did not"),
  step("mailFlow", "domainForwardingRule", "Mail from everybody goes round the gateway again"),
  step("proof", "probeMail", "A probe mail still comes back through the gateway"),
];
