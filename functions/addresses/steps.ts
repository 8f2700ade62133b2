/** The step graph of a replacement, known before it starts. */
import type { Branch } from "../../shared/api/operation.ts";
import { settledStage } from "../../shared/desired/bypass.ts";
import { markedRules } from "../../shared/desired/marked-rules.ts";
import * as desired from "../../shared/desired/state.ts";
import type { Ground } from "../../shared/desired/state.ts";
import { targetOf } from "../../shared/desired/target.ts";
import { spfStep } from "../../shared/runbook/runbook.ts";
import type { TenantRecord } from "../../shared/stores/tenants.ts";

const step = (branch: Branch, name: string, title: string) => ({ name, title, branch });

/** @param back to an address that was screened when it was new */
export function replacementSteps(tenant: TenantRecord, back: boolean) {
  const target = targetOf(tenant);
  const { spec } = target;
  const ground = tenant.facts["ground"] as Ground;
  const live = settledStage(tenant) === "live";
  const named = (which: "both" | "only", what: string) => [
    step("mailFlow", `${which}-inboundConnector`, `Inbound connector: ${what}`),
    ...(spec.connectionFilter ? [step("mailFlow", `${which}-connectionFilter`, `Connection filter: ${what}`)] : []),
    step("mailFlow", `${which}-guardRule`, `Guard rule: ${what}`),
    // Only the rules' kinds are read here.
    ...markedRules(target, ground, live).map(({ kind, title }) => step("mailFlow", `${which}-${kind}`, `${title}: ${what}`)),
    ...(desired.azureSqlOf(spec) ? [step("gateway", `${which}-sqlFirewallRules`, `Azure SQL server: ${what}`)] : []),
  ];
  const records = (earlier: "stay" | "go", what: string) =>
    desired
      .spfRecords(target, ground, earlier)
      .map(({ domain }, index) => step("mailFlow", spfStep(index, earlier), `SPF record of ${domain} ${what}`));
  return [
    step("root", "newAddress", back ? "The former address with its name" : "New public address with its name"),
    ...(back ? [] : [step("root", "screened", "No blocklist has the new address")]),
    ...named("both", "both addresses"),
    step("mailFlow", "both-smartHosts", "Outbound connector: both names"),
    step("directory", "both-redirects", "WebClient's redirect URIs: both names"),
    ...records("stay", "lists both addresses"),
    step("proof", "inboundConnectorReadBack", "Inbound connector read back"),
    step("proof", "approvalRuleReadBack", "Approval rule read back"),
    step("proof", "acceptedEverywhere", "Everybody has had the time to hear of the new address"),
    step("gateway", "swapped", "The machine has the new address"),
    step("mailFlow", "only-smartHosts", "Outbound connector: the new name only"),
    step("gateway", "guest", "The machine greets by its new name"),
    step("proof", "startTls", "Exchange Online reaches the gateway with STARTTLS"),
    step("proof", "probeMail", "A probe mail came back through the gateway"),
    step("proof", "drained", "Mail from the former address has had the time to arrive"),
    ...named("only", "the new address only"),
    step("directory", "only-redirects", "WebClient's redirect URIs: the new name only"),
    ...records("go", "lists the new address only"),
  ];
}
