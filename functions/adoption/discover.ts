/** Finds what a person made for a tenant by the manual: by what leads from one to the next, and by choices where several could be meant. */
import type { AdoptionChoices } from "../../shared/api/adoption.ts";
import type { Finding } from "../../shared/api/plan.ts";
import { type Names, namesOf } from "../../shared/azure/names.ts";
import { home, organization } from "../../shared/desired/state.ts";
import { nameSourceOf, targetOf } from "../../shared/desired/target.ts";
import { type AllRead, read } from "../../shared/exchange/batch.ts";
import type { ReadCmdlet } from "../../shared/exchange/cmdlets.ts";
import type { RuleKind } from "../../shared/exchange/rule-kinds.ts";
import { type Ours, placeOf } from "../../shared/exchange/transport-rules.ts";
import { ControlPlaneError } from "../../shared/errors.ts";
import type { TenantRecord } from "../../shared/stores/tenants.ts";
import {
  acceptingFrom,
  addressesNamed,
  approving,
  deliveringTo,
  type MailObjects,
  meant,
  type Meant,
  routingBy,
  stageBy,
} from "./mail-flow.ts";
import { type FoundMachine, machineBehind, nameOf, type PublicAddress, publicAddresses } from "./machine.ts";
import type { AdoptionWorld } from "./world.ts";

/** An object of the installation, by the step that would make it. */
export interface Discovered {
  id?: string;
  name?: string;
  candidates?: string[];
}

export interface Discovery {
  /** Kept for good, once the machine is known. */
  names?: Names;
  size: string;
  stage?: "pilot" | "live";
  objects: Record<string, Discovered>;
  /** Rules that stand above one of ours that they should stand below: once both have our marks, it shows. */
  misplaced: string[];
  findings: Finding[];
}

type World = Pick<AdoptionWorld, "azure" | "exchange">;

/** Reads only. Throws when it can't read. */
export async function discover(world: World, tenant: TenantRecord, choices: AdoptionChoices): Promise<Discovery> {
  const target = targetOf(tenant);
  const { domains } = tenant.spec.microsoft365;
  const discovery: Discovery = { size: "", objects: {}, misplaced: [], findings: unsupported(tenant) };
  const { findings, objects } = discovery;
  const mail = await mailObjects(world, organization(target));
  const addresses = chosenAddresses(await publicAddresses(world.azure, home(target)), choices.address);

  const outbound = meant(deliveringTo(mail.outboundConnectors, addresses), choices.outboundConnector);
  objects["outboundConnector"] = discovered(outbound);
  if (!outbound.one) {
    findings.push(nobodyDelivers(outbound.candidates.length, tenant.spec.azure.subscriptionId));
    return discovery;
  }
  const rule = meant(routingBy(mail.rules, outbound.one), choices.forwardingRule);
  objects["forwardingRule"] = discovered(rule);
  const [address, ...others] = addressesNamed(outbound.one.SmartHosts, addresses);
  if (!address || others.length > 0) {
    findings.push(severalMachines(outbound.one.Name, outbound.one.SmartHosts));
    return discovery;
  }
  objects["inboundConnector"] = discovered(
    meant(acceptingFrom(mail.inboundConnectors, address.ipAddress), choices.inboundConnector),
  );
  const approval = meant(approving(mail.rules, address.ipAddress), choices.approvalRule);
  objects["approvalRule"] = discovered(approval);
  discovery.misplaced = misplaced({ forwardingRule: rule.one?.Priority, approvalRule: approval.one?.Priority });

  const stage = rule.one && stageBy(rule.one, domains);
  if (stage) discovery.stage = stage;
  else if (rule.one) findings.push(nothingForwarded(rule.one.Name));

  const machine = await machineBehind(world.azure, home(target), address);
  if ("problem" in machine) {
    findings.push(error("GatewayNotAdoptable", machine.problem, "put that right, or onboard a gateway of our own"));
    return discovery;
  }
  const [region] = tenant.spec.gateway.regions;
  if (region?.name !== machine.region)
    findings.push(
      error(
        "RegionDiffers",
        `the machine is in ${machine.region}, and the spec names ${region?.name}`,
        `put "${machine.region}" into gateway.regions`,
      ),
    );
  const named = {
    resourceGroup: true,
    publicIpAddress: true,
    networkSecurityGroup: true,
    virtualNetwork: true,
    networkInterface: true,
    gatewayVm: true,
  } as const;
  for (const step of Object.keys(named) as (keyof typeof named)[])
    objects[step] = { id: machine[step], name: nameOf(machine[step]) };
  if (machine.availabilitySet !== undefined)
    objects["availabilitySet"] = { id: machine.availabilitySet, name: nameOf(machine.availabilitySet) };
  return { ...discovery, names: namesFor(tenant, machine, address), size: machine.size };
}

/** What is there keeps its names; what isn't gets them by the rule. */
function namesFor(tenant: TenantRecord, machine: FoundMachine, { dnsLabel }: PublicAddress): Names {
  const { partnerId, id: tenantId, spec } = tenant;
  const regions = [{ name: machine.region, machines: 1 }];
  const derived = namesOf({ ...nameSourceOf({ partnerId, tenantId }, spec), regions, home: machine.region });
  const [region] = derived.regions;
  const [own] = region?.machines ?? [];
  if (!region || !own) throw new Error("a region has a machine");
  const resourceGroup = nameOf(machine.resourceGroup);
  return {
    ...derived,
    home: { region: machine.region, resourceGroup },
    regions: [
      {
        ...region,
        resourceGroup,
        virtualNetwork: nameOf(machine.virtualNetwork),
        subnet: machine.subnet,
        networkSecurityGroup: nameOf(machine.networkSecurityGroup),
        ...(machine.availabilitySet === undefined ? {} : { availabilitySet: nameOf(machine.availabilitySet) }),
        machines: [
          {
            ...own,
            virtualMachine: nameOf(machine.gatewayVm),
            computerName: machine.computerName,
            networkInterface: nameOf(machine.networkInterface),
            publicIpAddress: nameOf(machine.publicIpAddress),
            ...(dnsLabel === "" ? {} : { dnsLabel }),
          },
        ],
      },
    ],
  };
}

async function mailObjects({ exchange }: World, organization: string): Promise<MailObjects> {
  const found = await exchange.readTogether(organization, {
    inboundConnectors: read("Get-InboundConnector", {}),
    outboundConnectors: read("Get-OutboundConnector", { IsTransportRuleScoped: true, IncludeTestModeConnectors: true }),
    rules: read("Get-TransportRule", {}),
  });
  return {
    inboundConnectors: readable(found.inboundConnectors, "the inbound connectors"),
    outboundConnectors: readable(found.outboundConnectors, "the outbound connectors"),
    rules: readable(found.rules, "the transport rules"),
  };
}

function readable<C extends ReadCmdlet>(found: AllRead<C>, what: string) {
  if (found.state === "present") return found.actual;
  const { code, message } = found.reason;
  throw new ControlPlaneError(code, `reading ${what}: ${message}`, found.accessMissing ? 403 : 503, true);
}

const chosenAddresses = (addresses: PublicAddress[], choice: string | undefined): PublicAddress[] =>
  choice === undefined ? addresses : addresses.filter(({ ipAddress, fqdn }) => [ipAddress, fqdn].includes(choice.toLowerCase()));

const discovered = ({ one, candidates }: Meant<{ Name: string; Guid: string }>): Discovered =>
  one ? { id: one.Guid, name: one.Name } : { candidates: candidates.map(({ Name }) => Name) };

function misplaced(priorities: { [Kind in "forwardingRule" | "approvalRule"]: number | undefined }): string[] {
  const known = Object.entries(priorities).flatMap(([kind, priority]) => (priority === undefined ? [] : [[kind, priority]]));
  const ours = Object.fromEntries(known) as Ours;
  return Object.keys(ours).filter((kind) => placeOf(kind as RuleKind, ours) !== undefined);
}

const error = (code: string, message: string, remedy: string): Finding => ({ code, severity: "error", message, remedy });

/** What the spec may not ask for yet: it is taken over as it is, and grows afterwards. */
function unsupported({ spec: { gateway } }: TenantRecord): Finding[] {
  const several = gateway.regions.length > 1 || gateway.regions.some(({ machines }) => machines > 1);
  const found: Finding[] = [];
  if (several)
    found.push(
      error(
        "SeveralMachines",
        "the spec names several machines or regions, and only one machine can be taken over",
        "name one region with one machine; what is made by hand behind a load balancer can't be taken over",
      ),
    );
  if (gateway.certificate)
    found.push(
      error(
        "CertificateNotAdoptable",
        "the spec names a certificate, and the vault that it would be in is not there yet",
        "leave gateway.certificate out until the tenant is taken over",
      ),
    );
  return found;
}

const nobodyDelivers = (candidates: number, subscriptionId: string): Finding =>
  candidates > 0
    ? error(
        "SeveralConnectors",
        "several outbound connectors deliver to addresses of the subscription",
        "choose one: outboundConnector, or address",
      )
    : error(
        "NoConnectorFound",
        `no connector that rules send mail to delivers to a public address of subscription ${subscriptionId}`,
        "check the subscription in the spec, and that the connector names the machine's address or its name",
      );

const severalMachines = (connector: string, smartHosts: string[]): Finding =>
  error(
    "SeveralMachines",
    `the connector "${connector}" delivers to several addresses: ${smartHosts.join(", ")}`,
    "only one machine can be taken over",
  );

const nothingForwarded = (rule: string): Finding =>
  error(
    "NothingForwarded",
    `the rule "${rule}" is switched off or only tested, so that no mail runs through the gateway`,
    "switch it on, or onboard the tenant, which proves the gateway first",
  );
