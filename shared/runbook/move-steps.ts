/** Steps of an onboarding that has another number of machines to bring about than stand: shown beside the usual ones. */
import { machineSuffix, regionSuffix } from "../desired/machines.ts";
import { goingFrom, type Standing, unbalancedIn } from "../desired/standing.ts";
import type { TenantSpec } from "../tenants/spec.ts";
import type { StepTitle } from "./steps.ts";

type Spec = Pick<TenantSpec, "connectionFilter" | "database" | "gateway">;

/** The spec as it is with all machines: those that go are still looked at. */
export const widened = <Some extends Spec>(spec: Some, { names }: Standing): Some => ({
  ...spec,
  gateway: {
    ...spec.gateway,
    regions: spec.gateway.regions.map((region, index) => ({
      ...region,
      machines: names.regions[index]?.machines.length ?? region.machines,
    })),
  },
});

const proof = (name: string, title: string): StepTitle => ({ branch: "proof", name, title });

/** Before the probe mail, which proves the new way. */
export const movingSteps = ({ smartHosts }: Standing): StepTitle[] =>
  smartHosts === undefined
    ? []
    : [
        proof("bothSmartHosts", "Outbound connector: new smart hosts beside the old ones"),
        proof("smartHostsAnswer", "Exchange Online reaches each of them with STARTTLS"),
        proof("smartHostsMoved", "Outbound connector: the new smart hosts only"),
        proof("redirectsMoved", "WebClient's redirect URIs are the new names"),
      ];

/** After it. */
export function droppingSteps({ connectionFilter, database, gateway }: Spec, { names }: Standing): StepTitle[] {
  const spec = { regions: gateway.regions.map(({ machines }) => ({ machines: Array.from({ length: machines }) })) };
  const going = goingFrom(names, spec).map(({ region, machine }) => ({
    at: machineSuffix(region, machine),
    what: names.regions[region]?.machines[machine]?.virtualMachine ?? "",
  }));
  const unbalanced = unbalancedIn(names, spec).map((region) => ({
    at: regionSuffix(region),
    where: names.regions[region]?.region ?? "",
  }));
  if (going.length === 0 && unbalanced.length === 0) return [];
  return [
    ...going.flatMap(({ at, what }) => [
      proof(`leavesPool${at}`, `${what} gets no more mail from the load balancer`),
      proof(`drained${at}`, `${what} has sent on all that it had`),
    ]),
    proof("inboundConnectorNarrowed", "Inbound connector: addresses that stay"),
    ...(connectionFilter ? [proof("connectionFilterNarrowed", "Connection filter: without addresses that go")] : []),
    proof("guardRuleNarrowed", "Guard rule: addresses that stay"),
    proof("approvalRuleNarrowed", "Approval rule: addresses that stay"),
    ...(database?.kind === "azureSql" ? [proof("sqlFirewallNarrowed", "Azure SQL server: addresses that stay")] : []),
    ...going.flatMap(({ at, what }) => [
      proof(`dropVm${at}`, `${what} is removed`),
      proof(`dropInterface${at}`, `${what}'s network interface is removed`),
      proof(`dropAddress${at}`, `${what}'s public address is removed`),
    ]),
    ...unbalanced.flatMap(({ at, where }) => [
      proof(`leavesPool${at}`, `The machine that stays in ${where} leaves the load balancer`),
      ...(gateway.monitoring ? [proof(`dropDiagnostics${at}`, `The load balancer in ${where} reports no more`)] : []),
      proof(`dropBalancer${at}`, `The load balancer in ${where} is removed`),
      proof(`dropBalancerAddress${at}`, `The load balancer's address in ${where} is removed`),
    ]),
  ];
}
