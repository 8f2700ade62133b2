/** The step graph of an offboarding, known before it starts, in the only order that loses no mail. */
import type { Branch } from "../../shared/api/operation.ts";
import { machineTitles, regionTitles } from "../../shared/desired/machines.ts";
import type { TenantSpec } from "../../shared/tenants/spec.ts";

const step = (branch: Branch, name: string, title: string) => ({ name, title, branch });

export const offboardingSteps = ({ connectionFilter, gateway }: Pick<TenantSpec, "connectionFilter" | "gateway">) => [
  step("mailFlow", "forwardingRule", "Forwarding rule removed: no new mail goes to the gateway"),
  step("proof", "aroundGateway", "Probe mails arrive without having met the gateway"),
  step("proof", "emptyQueues", "No mail waits in a gateway"),
  step("mailFlow", "approvalRule", "Approval rule removed"),
  step("mailFlow", "guardRule", "Guard rule removed"),
  step("mailFlow", "outboundConnector", "Outbound connector removed"),
  step("mailFlow", "inboundConnector", "Inbound connector removed"),
  ...(connectionFilter ? [step("mailFlow", "connectionFilter", "The gateway's addresses taken from the connection filter")] : []),
  step("directory", "webClientApplication", "WebClient application removed from Entra"),
  step("gateway", "watch", `Nobody watches ${machineTitles({ gateway }).length === 1 ? "the gateway" : "the gateways"} any more`),
  ...regionTitles({ gateway }).map(({ suffix, where }) =>
    step("root", `resourceGroup${suffix}`, ["Resource group removed with all that is in it", ...where].join(", ")),
  ),
  step("proof", "residue", "Nothing of it is left in Azure, Exchange Online and Entra"),
];
