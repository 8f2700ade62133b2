/** What a person made in Exchange Online by the manual, told by what it does and not by its name. Pure. */
import { canonicalAddresses, canonicalLevel, canonicalSmartHosts } from "../../shared/exchange/canonical.ts";
import type { InboundConnectorObject, OutboundConnectorObject, TransportRuleObject } from "../../shared/exchange/cmdlets.ts";
import { ruleConditions } from "../../shared/exchange/rule-properties.ts";
import type { PublicAddress } from "./machine.ts";

export interface MailObjects {
  inboundConnectors: InboundConnectorObject[];
  /** Those that rules send mail to. */
  outboundConnectors: OutboundConnectorObject[];
  rules: TransportRuleObject[];
}

interface Called {
  Name: string;
  Guid: string;
}

/** The one that is meant, or those that could be. */
export interface Meant<Candidate> {
  one?: Candidate;
  candidates: Candidate[];
}

/** What is chosen is among the candidates or it is nothing. */
export function meant<Candidate extends Called>(candidates: Candidate[], choice: string | undefined): Meant<Candidate> {
  const chosen = choice === undefined ? candidates : candidates.filter((one) => isCalled(one, choice));
  const [one, ...others] = chosen;
  return one && others.length === 0 ? { one, candidates } : { candidates: chosen.length === 0 ? [] : candidates };
}

const isCalled = ({ Name, Guid }: Called, choice: string): boolean =>
  [Name, Guid].some((name) => name.toLowerCase() === choice.toLowerCase());

/** Connectors that deliver to one of the addresses, by its name or by itself. */
export const deliveringTo = (connectors: OutboundConnectorObject[], addresses: PublicAddress[]): OutboundConnectorObject[] =>
  connectors.filter(({ SmartHosts }) => addressesNamed(SmartHosts, addresses).length > 0);

export function addressesNamed(smartHosts: string[], addresses: PublicAddress[]): PublicAddress[] {
  const hosts = canonicalSmartHosts(smartHosts);
  return addresses.filter(({ ipAddress, fqdn }) => hosts.some((host) => host !== "" && (host === ipAddress || host === fqdn)));
}

export const acceptingFrom = (connectors: InboundConnectorObject[], ipAddress: string): InboundConnectorObject[] =>
  connectors.filter(({ SenderIPAddresses }) => canonicalAddresses(SenderIPAddresses).includes(ipAddress));

export const routingBy = (rules: TransportRuleObject[], connector: Called): TransportRuleObject[] =>
  rules.filter(({ RouteMessageOutboundConnector: route }) => route != null && isCalled(connector, route));

/** Manual, chapter 4.5.2: what comes from the gateway isn't judged as spam again. */
export const approving = (rules: TransportRuleObject[], ipAddress: string): TransportRuleObject[] =>
  rules.filter(
    ({ SenderIpRanges, SetSCL }) => canonicalLevel(SetSCL) === "-1" && canonicalAddresses(SenderIpRanges).includes(ipAddress),
  );

/** What mail really does by the rule: undefined where it does nothing at all. */
export function stageBy(rule: TransportRuleObject, domains: string[]): "pilot" | "live" | undefined {
  if (rule.State !== "Enabled" || (rule.Mode ?? "Enforce") !== "Enforce") return undefined;
  const shown: Record<string, unknown> = rule;
  const scoped = ruleConditions.filter((name) => isSet(shown[name]));
  return scoped.every((name) => coversEverybody(name, shown[name], domains)) ? "live" : "pilot";
}

const isSet = (value: unknown): boolean =>
  value !== undefined && value !== null && value !== "" && value !== false && !(Array.isArray(value) && value.length === 0);

/** Everybody inside, in one direction or both. */
function coversEverybody(condition: string, value: unknown, domains: string[]): boolean {
  if (condition === "FromScope" || condition === "SentToScope") return value === "InOrganization";
  if (condition !== "SenderDomainIs" && condition !== "RecipientDomainIs") return false;
  const named = (value as string[]).map((domain) => domain.toLowerCase());
  return domains.every((domain) => named.includes(domain));
}
