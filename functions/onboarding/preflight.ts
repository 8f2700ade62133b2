/**
 * What would stop an onboarding halfway, found out before the first thing is made: pure reads, each check with its evidence and its
 * remedy. A plan shows them; an onboarding that fails one ends there.
 */
import * as z from "zod";
import type { Check } from "../../shared/api/plan.ts";
import { type SizeLists, sizeLists } from "../../shared/azure/sizes.ts";
import { workspaceRegion } from "../../shared/azure/workspace.ts";
import type { Observed } from "../../shared/resources/resource.ts";
import type { MachineRole } from "../../shared/azure/names.ts";
import { machineBeside, machinesBeside } from "../../shared/desired/beside.ts";
import { azureSqlOf, home, mainDomain, organization, roleOf } from "../../shared/desired/state.ts";
import { mailRouteOf } from "../../shared/desired/mail-route.ts";
import type { Target } from "../../shared/desired/target.ts";
import { ControlPlaneError } from "../../shared/errors.ts";
import { readTerms } from "../../shared/resources/marketplace-terms.ts";
import { adminGroups } from "./admin-groups.ts";
import { type Placement, placementOf, rolePlacementOf } from "../../shared/runbook/placement.ts";
import { replacedBeside, replacedGateways } from "./replacement.ts";
import type { OnboardingWorld } from "./world.ts";

type World = Pick<OnboardingWorld, "azure" | "resources" | "organizations" | "groups" | "resolver" | "environment">;

/** In the order in which a person would mend them. Nothing throws: what can't be read is a check that can't tell. */
export async function preflightOf(
  world: World,
  target: Target,
  consented: boolean,
  sizes: SizeLists = sizeLists(world.azure, home(target)),
): Promise<Check[]> {
  const regions = target.names.regions.map((_, index) => index);
  const roles = machinesBeside(target.spec).map(({ role }) => role);
  const placements = await Promise.all(regions.map((index) => placed(world, sizes, target, index)));
  const beside = await Promise.all(roles.map((role) => placedRole(world, sizes, target, role)));
  const checks = await Promise.all([
    subscriptionKind(world, target),
    marketplace(world, target),
    workspace(world, target),
    ...[...placements, ...beside].map(({ check }) => Promise.resolve(check)),
    ...placements.flatMap(({ placement }, index) =>
      placement ? [quotas(world, sizes, target, index, placement, besideIn(target, index, beside))] : [],
    ),
    ...regions.map((index) => labels(world, target, index)),
    ...placements.flatMap(({ placement }, index) =>
      placement ? [replacedGateways(world.resources, target, index, placement)] : [],
    ),
    ...beside.flatMap(({ placement, role }) => (placement ? [replacedBeside(world.resources, target, role, placement)] : [])),
    ...(azureSqlOf(target.spec) ? [sqlServerName(world, target)] : []),
    ...(consented ? [mailExchanger(world, target), adminGroups(world, target)] : []),
  ]);
  return checks.flat();
}

/** Throws the first check that fails, with the others that do as details. */
export function refuseFailed(checks: Check[]): void {
  const failed = checks.filter(({ status }) => status === "fail");
  const [first] = failed;
  if (!first) return;
  const details = failed.map(({ code, message, remedy, target }) => ({
    code,
    message: remedy === undefined ? message : `${message}; ${remedy}`,
    ...(target === undefined ? {} : { target }),
  }));
  const { message = first.message } = details[0] ?? {};
  throw new ControlPlaneError(first.code, message, 409, false, { target: first.target, details });
}

const subscriptionSchema = z.object({
  subscriptionPolicies: z.object({ quotaId: z.string(), spendingLimit: z.string().default("Off") }),
});

/**
 * Source: "Troubleshoot outbound SMTP connectivity problems in Azure": port 25 is open for Enterprise Agreement and Microsoft Customer
 * Agreement for enterprises only; which quota ids the second one has isn't published, so an unknown one can't be told.
 */
const SMTP_OPEN = /^EnterpriseAgreement_/i;
const SMTP_BLOCKED =
  /^(PayAsYouGo|CSP|MSDN|MSDNDevTest|VSEnterprise|FreeTrial|Sponsored|AzurePass|AzureInOpen|AzureForStudents|DreamSpark|MPN|BizSpark)/i;

async function subscriptionKind({ azure }: World, target: Target): Promise<Check[]> {
  const { entraTenantId, subscriptionId } = home(target);
  const found = await azure.get(entraTenantId, `/subscriptions/${subscriptionId}?api-version=2022-12-01`);
  const read = found.state === "present" ? subscriptionSchema.safeParse(found.actual) : undefined;
  if (!read?.success) return [unclear("OutboundSmtpBlocked", "the kind of the subscription could not be read", found)];
  const { quotaId, spendingLimit } = read.data.subscriptionPolicies;
  return [outboundSmtp(quotaId, target.spec.azure.outboundSmtpExempt), limit(spendingLimit)];
}

function outboundSmtp(quotaId: string, exempt: boolean): Check {
  const code = "OutboundSmtpBlocked";
  if (SMTP_OPEN.test(quotaId))
    return { code, status: "pass", message: `port 25 is open for subscriptions of the kind ${quotaId}` };
  if (exempt)
    return {
      code,
      status: "unknown",
      message: `the spec says that Azure has exempted this subscription; the probe mail will prove it`,
    };
  if (!SMTP_BLOCKED.test(quotaId))
    return {
      code,
      status: "unknown",
      message: `whether port 25 is open for ${quotaId} is not known; the probe mail will prove it`,
    };
  return {
    code,
    status: "fail",
    message: `Azure blocks port 25 for subscriptions of the kind ${quotaId}, so the gateway could send no mail`,
    remedy:
      "take a subscription of an Enterprise Agreement, or set azure.outboundSmtpExempt if Azure has exempted this one before",
    target: "spec.azure.subscriptionId",
  };
}

const limit = (spendingLimit: string): Check =>
  /^off$/i.test(spendingLimit)
    ? { code: "SpendingLimitOn", status: "pass", message: "no spending limit would stop the machines" }
    : {
        code: "SpendingLimitOn",
        status: "fail",
        message: "the subscription has a spending limit, at which Azure would stop the machines",
        remedy: "remove the spending limit in the subscription's billing",
        target: "spec.azure.subscriptionId",
      };

/** Mission A10: terms are accepted by whoever may, and by us only where the spec says so. */
async function marketplace({ azure }: World, target: Target): Promise<Check[]> {
  const { plan, acceptTerms } = target.spec.gateway.image;
  if (plan === undefined) return [];
  const code = "MarketplaceTermsNotAccepted";
  const image = `${plan.publisher}'s image of the plan ${plan.name}`;
  const found = await readTerms(azure, { ...home(target), plan });
  if (found.state === "unknown" && found.reason.code === "BadRequest")
    return [
      {
        code: "MarketplacePlanUnknown",
        status: "fail",
        message: `Azure sells no such image: ${found.reason.message}`,
        remedy: "correct publisher, product and name of the plan as the marketplace has them",
        target: "spec.gateway.image.plan",
      },
    ];
  if (found.state !== "present") return [unclear(code, `the terms of ${image} could not be read`, found)];
  const { accepted, licenseTextLink = "", marketplaceTermsLink = "" } = found.actual;
  const terms = `${licenseTextLink} and ${marketplaceTermsLink}`;
  if (accepted === true)
    return [{ code, status: "pass", message: `the subscription has accepted the terms of ${image}: ${terms}` }];
  if (acceptTerms === true)
    return [{ code, status: "pass", message: `the terms of ${image} will be accepted for the subscription: ${terms}` }];
  return [
    {
      code,
      status: "fail",
      message: `nobody has accepted the terms of ${image} for the subscription: ${terms}`,
      remedy: "read them, then set gateway.image.acceptTerms, or accept them in the marketplace",
      target: "spec.gateway.image.acceptTerms",
    },
  ];
}

interface Placed {
  placement?: Placement;
  check: Check[];
}

const placed = ({ azure }: World, sizes: SizeLists, target: Target, index: number): Promise<Placed> =>
  checkedPlacement(regionName(target, index), () => placementOf(azure, target, index, sizes));

const placedRole = async (
  { azure }: World,
  sizes: SizeLists,
  target: Target,
  role: MachineRole,
): Promise<Placed & { role: MachineRole }> => ({
  role,
  ...(await checkedPlacement(target.names.home.region, () => rolePlacementOf(azure, target, role, sizes))),
});

/** Machines beside the gateways that aren't there yet: they count in the same quotas. */
const besideIn = (target: Target, index: number, beside: (Placed & { role: MachineRole })[]): Wanted[] =>
  regionName(target, index) === target.names.home.region
    ? beside.flatMap(({ role, placement }) =>
        placement === undefined || placement.missing.length === 0
          ? []
          : [{ size: placement.machines[0]?.[0]?.size ?? "", address: machineBeside(target.spec, role).address }],
      )
    : [];

interface Wanted {
  size: string;
  /** Whether it has a public address. */
  address: boolean;
}

async function checkedPlacement(region: string, placementNow: () => Promise<Placement>): Promise<Placed> {
  try {
    const placement = await placementNow();
    const [first] = placement.machines.flat();
    const where = placement.availabilitySet ? "in an availability set" : first?.zone === undefined ? "in no zone" : "in zones";
    const message = `${region} has ${first?.size} for this subscription; machines stand ${where}`;
    return { placement, check: [{ code: "SizeNotAvailable", status: "pass", message }] };
  } catch (error) {
    return { check: [failedCheck(error, `which sizes ${region} has could not be read`)] };
  }
}

/** A refusal with a person to mend it is a failed check; what a read could not tell is not. */
function failedCheck(error: unknown, otherwise: string): Check {
  if (!(error instanceof ControlPlaneError) || error.transient)
    return { code: "CloudNotRead", status: "unknown", message: otherwise };
  const { code, message, target } = error;
  return { code, status: "fail", message, ...(target === undefined ? {} : { target }) };
}

/** Mission A7: the customer's own workspace, which our application must be able to read to send anything there. */
async function workspace({ azure }: World, target: Target): Promise<Check[]> {
  const { monitoring } = target.spec.gateway;
  if (!monitoring) return [];
  const code = "WorkspaceMissing";
  const name = monitoring.workspaceId.split("/").at(-1);
  const found = await workspaceRegion(azure, home(target).entraTenantId, monitoring.workspaceId);
  if (found.state === "present")
    return [{ code, status: "pass", message: `the workspace ${name} in ${found.actual} takes what machines report` }];
  if (found.state === "unknown" && found.accessMissing !== true)
    return [unclear(code, `the workspace ${name} could not be read`, found)];
  return [
    {
      code,
      status: "fail",
      message: `our application sees no workspace ${monitoring.workspaceId}`,
      remedy:
        "correct gateway.monitoring.workspaceId, or give our application the role Log Analytics Contributor on the workspace",
      target: "spec.gateway.monitoring.workspaceId",
    },
  ];
}

interface Usage {
  name: string;
  free: number;
}

/** Room for the machines that aren't there yet: their cores, in all and of their family, and their addresses. */
async function quotas(
  { azure }: World,
  sizes: SizeLists,
  target: Target,
  index: number,
  { machines, missing }: Placement,
  beside: Wanted[],
): Promise<Check[]> {
  const subscription = home(target);
  const region = regionName(target, index);
  const gateways = missing.map((machine): Wanted => ({ size: machines[machine]?.[0]?.size ?? "", address: true }));
  const wanted = [...gateways, ...beside];
  if (wanted.length === 0) return [];
  const found = await azure.read(subscription, async (clients) => {
    const [compute, network] = [await clients.compute(), await clients.network()];
    const usages: Usage[] = [];
    for await (const { name, limit, currentValue } of compute.usage.list(region))
      usages.push({ name: name.value ?? "", free: limit - currentValue });
    for await (const { name, limit, currentValue } of network.usages.list(region))
      usages.push({ name: name.value ?? "", free: limit - currentValue });
    return usages;
  });
  if (found.state !== "present") return [unclear("QuotaExceeded", `the quotas of ${region} could not be read`, found)];
  const listed = await sizes(region);
  if (listed.state !== "present") return [unclear("QuotaExceeded", `the sizes of ${region} could not be read`, listed)];
  const free = (name: string): number =>
    found.actual.find((usage) => usage.name.toLowerCase() === name.toLowerCase())?.free ?? Number.POSITIVE_INFINITY;
  const chosen = wanted.flatMap(({ size }) => listed.actual.find(({ name }) => name.toLowerCase() === size.toLowerCase()) ?? []);
  const balanced = machines.length > 1 && missing.length === machines.length;
  const cores = chosen.reduce((sum, { virtualCpus }) => sum + virtualCpus, 0);
  const needed: [name: string, amount: number][] = [
    ["cores", cores],
    ...[...new Set(chosen.map(({ family }) => family))].map((family): [string, number] => [
      family,
      chosen.filter((one) => one.family === family).reduce((sum, { virtualCpus }) => sum + virtualCpus, 0),
    ]),
    ["StandardSkuPublicIpAddresses", wanted.filter(({ address }) => address).length + (balanced ? 1 : 0)],
  ];
  const short = needed.filter(([name, amount]) => free(name) < amount);
  if (short.length === 0)
    return [{ code: "QuotaExceeded", status: "pass", message: `${region} has room for ${cores} more cores and their addresses` }];
  return short.map(([name, amount]) => ({
    code: "QuotaExceeded",
    status: "fail" as const,
    message: `${region} has room for ${free(name)} more of the quota ${name}, and ${amount} are needed`,
    remedy: "have the quota raised in the subscription's Usage and quotas, or name another size or region",
    target: "spec.gateway.regions",
  }));
}

/** Labels are unique in a region over all of Azure's customers. Those that we hold are ours already. */
async function labels({ azure }: World, target: Target, index: number): Promise<Check[]> {
  const region = target.names.regions[index];
  if (!region) return [];
  const wanted = [
    ...region.machines.map(({ publicIpAddress, dnsLabel }) => ({ name: publicIpAddress, label: dnsLabel })),
    ...(region.machines.length > 1 ? [{ name: region.loadBalancerAddress, label: region.loadBalancerLabel }] : []),
    ...(region.region === target.names.home.region ? machinesBeside(target.spec) : [])
      .filter(({ address }) => address)
      .map(({ role }) => roleOf(target, role).machine)
      .map(({ publicIpAddress, dnsLabel }) => ({ name: publicIpAddress, label: dnsLabel })),
  ];
  const subscription = home(target);
  return Promise.all(
    wanted.map(async ({ name, label }): Promise<Check> => {
      const ours = await azure.read(subscription, async (clients) =>
        (await clients.network()).publicIPAddresses.get(region.resourceGroup, name),
      );
      if (ours.state === "present" && ours.actual.dnsSettings?.domainNameLabel === label)
        return { code: "DnsLabelTaken", status: "pass", message: `the DNS label ${label} is this tenant's` };
      const answer = await azure.read(subscription, async (clients) =>
        (await clients.network()).checkDnsNameAvailability(region.region, label),
      );
      if (answer.state !== "present")
        return unclear("DnsLabelTaken", `whether the DNS label ${label} is free could not be read`, answer);
      return answer.actual.available === false
        ? {
            code: "DnsLabelTaken",
            status: "fail",
            message: `the DNS label ${label} is taken in ${region.region}`,
            remedy: "register the tenant under another id",
            target: "tenantId",
          }
        : { code: "DnsLabelTaken", status: "pass", message: `the DNS label ${label} is free in ${region.region}` };
    }),
  );
}

/** A server's name is unique over all of Azure's customers. One that we hold is ours already. */
async function sqlServerName({ azure }: World, target: Target): Promise<Check> {
  const code = "SqlServerNameTaken";
  const { sqlServer: name } = target.names;
  const place = home(target);
  const ours = await azure.read(place, async (clients) => (await clients.sql()).servers.get(place.resourceGroup, name));
  if (ours.state === "present")
    return { code, status: "pass", message: `the SQL server ${name} is in this tenant's resource group` };
  const answer = await azure.read(place, async (clients) =>
    (await clients.sql()).servers.checkNameAvailability({ name, type: "Microsoft.Sql/servers" }),
  );
  if (answer.state !== "present") return unclear(code, `whether the SQL server's name ${name} is free could not be read`, answer);
  if (answer.actual.available !== false) return { code, status: "pass", message: `the SQL server's name ${name} is free` };
  return {
    code,
    status: "fail",
    message: `the SQL server's name ${name} is taken`,
    remedy: "register the tenant under another id",
    target: "tenantId",
  };
}

/** Manual, chapter 3.2: without the domain's own MX the gateway would have nowhere to send mail on to. */
async function mailExchanger(world: World, target: Target): Promise<Check[]> {
  const domain = mainDomain(target);
  try {
    const { smartHost } = await mailRouteOf(world, { organization: organization(target), domain });
    return [{ code: "MailExchangerMissing", status: "pass", message: `Microsoft 365 takes mail for ${domain} at ${smartHost}` }];
  } catch (error) {
    return [failedCheck(error, `where Microsoft 365 takes mail for ${domain} could not be read`)];
  }
}

const regionName = ({ names }: Target, index: number): string => names.regions[index]?.region ?? "";

const unclear = (code: string, message: string, found: Observed<unknown>): Check => ({
  code,
  status: "unknown",
  message: found.state === "unknown" ? `${message}: ${found.reason.code}` : message,
});
