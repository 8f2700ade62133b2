/**
 * Another number of machines for gateways that stand (mission A11): the way that mail takes is moved without losing one. Everything that
 * names egress addresses has old and new ones before this begins; Exchange Online then gets the new smart hosts beside the old ones,
 * connects to each of them itself, and only then loses the old ones. What goes is taken out of the load balancer, sends what it still
 * has, and only then do its addresses stop being accepted; it is removed last, so that nobody else can get an address that is accepted.
 */
import type { MachineNames, RegionNames } from "../azure/names.ts";
import { machineSuffix, regionSuffix } from "../desired/machines.ts";
import { type Going, goingFrom, narrowed, unbalancedIn } from "../desired/standing.ts";
import * as desired from "../desired/state.ts";
import type { Chapter, Hands, Installation, TenantChapter, Walk } from "./runbook.ts";

/** With all machines: those of the spec, and those that go. */
export const widely = <Tenant extends Installation>(tenant: Tenant): Tenant =>
  tenant.standing ? { ...tenant, names: tenant.standing.names } : tenant;

/** Whether there are machines, or load balancers, that the spec no longer has. */
export const drops = ({ names, standing }: Installation): boolean =>
  standing !== undefined && (goingFrom(standing.names, names).length > 0 || unbalancedIn(standing.names, names).length > 0);

/** `ground` is of the spec's machines only. */
export const moveSmartHosts: Chapter<TenantChapter, void> = {
  name: "moveSmartHosts",
  *walk(hands, { tenant, ground }) {
    const before = tenant.standing?.smartHosts ?? [];
    const after = desired.outboundConnector(tenant, ground);
    const both = { ...after, smartHosts: [...new Set([...before, ...after.smartHosts])] };
    yield* hands.ensure("outboundConnector", "bothSmartHosts", both);
    yield* hands.proveSmartHosts({ ...desired.loop(tenant, ground), smartHosts: both.smartHosts });
    yield* hands.ensure("outboundConnector", "smartHostsMoved", after);
    yield* hands.ensure("webClientApplication", "redirectsMoved", desired.webClientApplication(tenant, ground));
  },
};

/** `ground` is of all machines, also of those that go. */
export const dropMachines: Chapter<TenantChapter, void> = {
  name: "dropMachines",
  *walk(hands, { tenant, ground }) {
    const { names, standing } = tenant;
    const wide = { ...tenant, names: standing?.names ?? names };
    const stays = narrowed(ground, names);
    const going = goingFrom(wide.names, names).map((one) => ({ ...one, ...placeOf(wide.names.regions, one) }));
    for (const { region, machine, at } of going)
      yield* hands.ensure("networkInterface", `leavesPool${at}`, desired.unbalancedInterface(wide, { region, machine }));
    for (const { machine, at } of going) yield* hands.drained(`drained${at}`, machine.virtualMachine);

    yield* hands.ensure("inboundConnector", "inboundConnectorNarrowed", desired.inboundConnector(tenant, stays));
    const kept = new Set(desired.egressIps(stays));
    const dropped = desired.egressIps(ground).filter((address) => !kept.has(address));
    if (tenant.spec.connectionFilter)
      yield* hands.drop("connectionFilter", "connectionFilterNarrowed", {
        ...desired.connectionFilter(tenant, stays),
        egressIps: dropped,
      });
    yield* hands.ensure("guardRule", "guardRuleNarrowed", desired.guardRule(tenant, stays));
    yield* hands.ensure("approvalRule", "approvalRuleNarrowed", desired.approvalRule(tenant, stays));
    if (desired.azureSqlOf(tenant.spec))
      yield* hands.ensure("sqlFirewallRules", "sqlFirewallNarrowed", desired.sqlFirewallRules(tenant, stays));

    for (const { region, machine, at } of going) {
      const place = { region, machine };
      yield* hands.drop("gatewayVm", `dropVm${at}`, desired.gatewayVm(wide, place, { size: "" }, "", ground));
      yield* hands.drop("networkInterface", `dropInterface${at}`, desired.unbalancedInterface(wide, place));
      yield* hands.drop("publicIpAddress", `dropAddress${at}`, desired.machineAddress(wide, place));
    }
    for (const index of unbalancedIn(wide.names, names)) yield* dropBalancer(hands, wide, index);
    yield* hands.forget(going.map(({ machine }) => machine.virtualMachine));
  },
};

/** The machine that stays leaves its pool first. */
function* dropBalancer<Wait>(hands: Hands<Wait>, wide: TenantChapter["tenant"], index: number): Walk<Wait, void> {
  const { region, machine } = placeOf(wide.names.regions, { region: index, machine: 0 });
  const at = regionSuffix(index);
  yield* hands.ensure("networkInterface", `leavesPool${at}`, desired.unbalancedInterface(wide, { region, machine }));
  const watched = desired.diagnosticSetting(wide, region);
  if (watched) yield* hands.drop("diagnosticSetting", `dropDiagnostics${at}`, watched);
  yield* hands.drop("loadBalancer", `dropBalancer${at}`, desired.loadBalancer(wide, region, ""));
  yield* hands.drop("publicIpAddress", `dropBalancerAddress${at}`, desired.loadBalancerAddress(wide, region));
}

function placeOf(
  regions: RegionNames[],
  { region: index, machine: number }: Going,
): { region: RegionNames; machine: MachineNames; at: string } {
  const region = regions[index];
  const machine = region?.machines[number];
  if (!region || !machine) throw new Error(`there is no machine ${number + 1} in region ${index + 1}`);
  return { region, machine, at: machineSuffix(index, number) };
}
