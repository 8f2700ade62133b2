/**
 * Mission E10: whether everything is there that itrezzo UCM wants before it is installed, point by point (E1 to E9), read from the clouds
 * as they are, and from what a customer's administrator reported. What Gatehouse can't see is told as unknown, with the reason, never as done.
 */
import type { Check } from "../../shared/api/plan.ts";
import { sizesIn } from "../../shared/azure/sizes.ts";
import { machineBeside, UCM_IMAGE } from "../../shared/desired/beside.ts";
import * as desired from "../../shared/desired/state.ts";
import type { Target } from "../../shared/desired/target.ts";
import type { Observed } from "../../shared/resources/resource.ts";
import type { ActualGuest, Guest } from "../../shared/resources/guest.ts";
import { onlineChecks, premisesChecks } from "./ucm-exchange.ts";
import { keptReport } from "./ucm-report.ts";
import type { OnboardingWorld } from "./world.ts";

type Ucm = NonNullable<Target["spec"]["ucm"]>;

interface World extends Pick<OnboardingWorld, "azure" | "resources" | "exchange"> {
  stores: Pick<OnboardingWorld["stores"], "tenants">;
}

/** In the order of E1 to E9. Never throws: what can't be read is unknown. */
export async function ucmReadiness(world: World, target: Target): Promise<Check[]> {
  const { azure, resources } = world;
  const { ucm } = target.spec;
  if (ucm === undefined) return [];
  const place = desired.roleOf(target, "ucm");
  const [machine, sizes, guard, identity] = await Promise.all([
    resources.gatewayVm.observe(machineAsNamed(target, place)),
    sizesIn(azure, desired.home(target), place.region.region),
    resources.networkSecurityGroup.observe(desired.roleSecurityGroup(target, "ucm")),
    resources.vmIdentity.observe(desired.roleIdentity(target, place)),
  ]);
  const clientId = identity.state === "present" ? identity.actual.clientId : "";
  const whole = await inside(resources, desired.ucmGuest(target, clientId, "known"));
  const others = whole.state === "asDesired" ? whole : await inside(resources, desired.ucmGuest(target, clientId, "unknown"));
  const actual = machine.state === "present" ? machine.actual : undefined;
  const size = sizes.state === "present" ? sizes.actual.find(({ name }) => same(name, actual?.size ?? "")) : undefined;
  const { minimum } = machineBeside(target.spec, "ucm");
  const open = resources.networkSecurityGroup.diff;
  const { serviceAccount } = ucm;
  return [
    ...(await exchangeChecks(world, target, ucm)),
    machine.state === "present" && machine.actual.image.sku === UCM_IMAGE.sku
      ? pass("UcmImage", "the machine runs Windows Server 2019, which the product runs on, and has no other role")
      : lacking("UcmImage", machine, "the machine is not of the image that the product runs on", "onboard again"),
    whole.state === "asDesired"
      ? pass("UcmDomain", `the machine knows ${serviceAccount}`)
      : unknown(
          "UcmDomain",
          `whether the machine is a member of the domain can't be told: it does not know ${serviceAccount} yet`,
          JOIN,
        ),
    size && size.virtualCpus >= minimum.virtualCpus && size.memoryInGigabytes >= minimum.memoryInGigabytes
      ? pass(
          "UcmSize",
          `${size.name} has ${size.virtualCpus} cores and ${size.memoryInGigabytes} GB, and ${ucm.mailboxes} mailboxes want ${minimum.virtualCpus} and ${minimum.memoryInGigabytes}`,
        )
      : lacking("UcmSize", sizes, `the machine is too small for ${ucm.mailboxes} mailboxes`, "onboard again"),
    guard.state === "present" && open(desired.roleSecurityGroup(target, "ucm"), guard.actual).length === 0
      ? pass(
          "UcmWebAdministration",
          "port 80 is open to the sources in the spec and to the machine's own network, and to nobody else",
        )
      : lacking("UcmWebAdministration", guard, "the security group is not as the spec has it", "onboard again"),
    whole.state === "asDesired"
      ? pass(
          "UcmAccountRights",
          `${serviceAccount} is in the local administrators and may log on as a service, from its next log-on`,
        )
      : { code: "UcmAccountRights", status: "fail", message: `${serviceAccount} has no rights on the machine`, remedy: JOIN },
    told(
      "UcmWindowsSettings",
      others,
      "Internet Explorer's enhanced security is off, and Defender leaves the product's folder alone",
    ),
    told("UcmFirewall", others, "Windows' firewall is on, and open for the product's ports to those who need them"),
  ];
}

/** E1 to E3, where the account's mailbox is; nobody looks where the spec doesn't say. */
async function exchangeChecks({ exchange, stores }: World, { work, spec }: Target, ucm: Ucm): Promise<Check[]> {
  const { serviceAccount } = ucm;
  if (ucm.exchange?.kind === "online") {
    const { mailbox } = ucm.exchange;
    return onlineChecks(mailbox, await exchange.get(spec.microsoft365.tenantId, "Get-Mailbox", { Identity: mailbox }));
  }
  if (ucm.exchange) {
    const report = keptReport(await stores.tenants.get(work.partnerId, work.tenantId));
    return premisesChecks(serviceAccount, ucm.exchange.version, report?.found);
  }
  return [
    unknown(
      "UcmServiceAccount",
      `whether ${serviceAccount} is mail-enabled, receives internal mail and has no retention is not checked: the customer's directory can't be read from here`,
      "see that it is an ordinary account, not a managed service account, and needs no rights of a domain administrator",
    ),
    unknown(
      "UcmImpersonation",
      "whether the account may act for the mailboxes is not checked: Exchange Online no longer has application impersonation, and the product's new way is not known",
      "ask the product's maker, then let it use RBAC for Applications; on premises, grant application impersonation",
    ),
    unknown(
      "UcmThrottling",
      "throttling is not checked: Exchange Online has no policy that a customer could set",
      "on premises, give the account a policy without limits for EWS",
    ),
  ];
}

const JOIN = "make the machine a member of the domain that has the account, then onboard again";

/** Only its place and name are asked for. */
const machineAsNamed = (target: Target, place: desired.RolePlace) =>
  desired.gatewayVm(target, place, { size: "" }, "", {
    identityId: "",
    adminPassword: { vaultUrl: "", name: "", version: "" },
  });

type Inside = { state: "asDesired" } | { state: "differs" | "unknown"; because: string };

async function inside(resources: World["resources"], wanted: Guest): Promise<Inside> {
  const found: Observed<ActualGuest> = await resources.guest.observe(wanted);
  if (found.state === "unknown") return { state: "unknown", because: found.reason.message };
  if (found.state === "absent") return { state: "differs", because: "it was never set so" };
  const { inDesiredState, failure, differences } = found.actual;
  return inDesiredState ? { state: "asDesired" } : { state: "differs", because: failure?.message ?? differences.join(", ") };
}

const told = (code: string, found: Inside, message: string): Check =>
  found.state === "asDesired"
    ? pass(code, message)
    : {
        code,
        status: found.state === "differs" ? "fail" : "unknown",
        message: `Windows is not as it should be: ${found.because}`,
        remedy: "onboard again",
      };

const same = (one: string, other: string): boolean => one.toLowerCase() === other.toLowerCase();
const pass = (code: string, message: string): Check => ({ code, status: "pass", message });
const unknown = (code: string, message: string, remedy: string): Check => ({ code, status: "unknown", message, remedy });
const lacking = (code: string, found: Observed<unknown>, message: string, remedy: string): Check =>
  found.state === "unknown"
    ? unknown(code, `it can't be read: ${found.reason.message}`, remedy)
    : { code, status: "fail", message, remedy };
