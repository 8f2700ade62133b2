/** What the domains' own name servers say that a person should know before onboarding: SPF that can't be widened, MX that point elsewhere. */
import type { Finding } from "../../shared/api/plan.ts";
import { organization } from "../../shared/desired/state.ts";
import type { Target } from "../../shared/desired/target.ts";
import { zoneOf } from "../../shared/tenants/dns-zones.ts";
import { spfState } from "./spf.ts";
import type { OnboardingWorld } from "./world.ts";

type World = Pick<OnboardingWorld, "authorities" | "resolver" | "environment" | "organizations">;

export async function dnsFindings(world: World, target: Target, consented: boolean): Promise<Finding[]> {
  const { domains } = target.spec.microsoft365;
  const found = await Promise.all([
    ...(target.spec.spf ? domains.map((domain) => spfFindings(world, target, domain)) : []),
    ...(consented ? domains.map((domain) => exchangerFindings(world, target, domain)) : []),
  ]);
  return found.flat();
}

async function spfFindings(world: World, { spec }: Target, domain: string): Promise<Finding[]> {
  const { state, reason, message } = await spfState(world, domain, []);
  if (state === "refused")
    return [
      { code: reason, severity: "warning", message, remedy: "put it right before the gateways are listed; mail is not held up" },
    ];
  if (state === "unknown")
    return [
      {
        code: reason,
        severity: "information",
        message: `SPF of ${domain} could not be read: ${message}`,
        remedy: "plan again later",
      },
    ];
  if (zoneOf(spec.spf?.zones ?? [], domain) !== undefined) return [];
  return [
    {
      code: "SpfTaskAhead",
      severity: "information",
      message: `no zone of ${domain} is named in spf.zones, so somebody has to publish its SPF record by hand`,
      remedy:
        "take the exact record from the result of the onboarding, or name the zone in Azure DNS and let our application write it",
    },
  ];
}

/** A gateway of somebody else in front of Microsoft 365 sees mail first; ours takes it afterwards, and its smart host stays Microsoft 365. */
async function exchangerFindings(world: World, target: Target, domain: string): Promise<Finding[]> {
  const expected = await world.organizations.mailExchangerOf(organization(target), domain).catch(() => undefined);
  // That Microsoft 365 takes no mail for a domain, or doesn't answer, is a check's to tell.
  if (expected === undefined) return [];
  const live = await world.authorities.mailExchangers(domain);
  if (live.state === "unknown")
    return [
      {
        code: "MailExchangerUnread",
        severity: "information",
        message: `where mail for ${domain} goes could not be read: ${live.reason.message}`,
        remedy: "plan again later",
      },
    ];
  const hosts = live.state === "present" ? live.actual.map(({ host }) => host) : [];
  if (hosts[0] === expected.host) return [];
  return [
    {
      code: "MailExchangerElsewhere",
      severity: "warning",
      message: `mail for ${domain} goes to ${hosts.join(", ") || "nobody"}, and Microsoft 365 takes it at ${expected.host}`,
      remedy: "let the MX record name Microsoft 365, or make sure that whoever is in front of it delivers there",
    },
  ];
}
