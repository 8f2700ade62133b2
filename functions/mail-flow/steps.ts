/** The step graphs of the way round the gateway and of the way back. */
import type { Branch } from "../../shared/api/operation.ts";
import { AROUND_STEP } from "../../shared/proof/around.ts";

const step = (branch: Branch, name: string, title: string) => ({ name, title, branch });

export const bypassSteps = () => [
  step("mailFlow", "bypassRule", "Mail is let past the gateway"),
  step("proof", AROUND_STEP, "Probe mails arrive without having met the gateway"),
];

export const restoreSteps = () => [
  step("access", "recovered", "Gateways are healthy and report, and no blocklist has an address of theirs"),
  step("proof", "inboundConnectorReadBack", "Inbound connector read back"),
  step("proof", "approvalRuleReadBack", "Approval rule read back"),
  step("proof", "startTls", "Exchange Online reaches the gateway with STARTTLS"),
  step("mailFlow", "probeSpared", "The probe mailbox's mail goes through the gateway again"),
  step("proof", "probeMail", "A probe mail came back through the gateway"),
  step("mailFlow", "bypassRule", "Everybody's mail goes through the gateway again"),
];
