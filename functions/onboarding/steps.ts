/** The step graph of an onboarding, known before it starts: what the operation shows as pending, in the order a reader expects. */
import type { TenantSpec } from "../../shared/tenants/spec.ts";

export type Branch = "access" | "root" | "gateway" | "directory" | "mailFlow" | "proof";
export interface StepTitle {
  name: string;
  title: string;
  branch: Branch;
}

const step = (branch: Branch, name: string, title: string): StepTitle => ({ name, title, branch });

export const onboardingSteps = ({ connectionFilter }: Pick<TenantSpec, "connectionFilter">): StepTitle[] => [
  step("access", "consent", "Admin consent, and the domains verified there"),
  step("access", "azureAccess", "Access to the Azure subscription"),
  step("root", "resourceGroup", "Resource group"),
  step("root", "vmIdentity", "The gateway's own identity"),
  step("root", "vault", "Key vault"),
  step("root", "vaultAccessForGatehouse", "Gatehouse may write the vault's secrets"),
  step("root", "vaultAccessForGateway", "The gateway may read the vault's secrets"),
  step("root", "loopGuid", "Loop GUID, in the vault"),
  step("root", "adminPassword", "Administrator's password, in the vault"),
  step("root", "publicIpAddress", "Static public address with its name"),
  step("gateway", "networkSecurityGroup", "Network security group"),
  step("gateway", "virtualNetwork", "Virtual network and subnet"),
  step("gateway", "networkInterface", "Network interface"),
  step("gateway", "gatewayVm", "Gateway VM"),
  step("gateway", "guest", "SMTP server, loop header and firewall in the VM"),
  step("directory", "webClientApplication", "WebClient application in Entra"),
  step("mailFlow", "inboundConnector", "Inbound connector: gateway to Microsoft 365"),
  step("mailFlow", "outboundConnector", "Outbound connector: Microsoft 365 to gateway"),
  ...(connectionFilter ? [step("mailFlow", "connectionFilter", "Connection filter admits the gateway")] : []),
  step("mailFlow", "guardRule", "Guard rule: nobody else's loop header counts"),
  step("mailFlow", "approvalRule", "Approval rule: handled mail passes"),
  step("mailFlow", "forwardingRule", "Forwarding rule, for the probe mailbox only"),
  step("proof", "inboundConnectorReadBack", "Inbound connector read back"),
  step("proof", "approvalRuleReadBack", "Approval rule read back"),
  step("proof", "startTls", "Exchange Online reaches the gateway with STARTTLS"),
  step("proof", "probeMail", "A probe mail came back through the gateway"),
  step("proof", "pilotScope", "Forwarding rule widened to the pilot"),
  step("proof", "pilotProbeMail", "A probe mail came back after widening"),
];
