/**
 * Machines that stand and could be as the spec has them only if they were made anew: Azure changes neither disk nor image nor place of
 * one. Nothing replaces a machine yet, so an onboarding ends before it changes anything.
 */
import type { Check } from "../../shared/api/plan.ts";
import type { MachineRole } from "../../shared/azure/names.ts";
import { machineBeside } from "../../shared/desired/beside.ts";
import * as desired from "../../shared/desired/state.ts";
import type { Target } from "../../shared/desired/target.ts";
import type { DesiredOf } from "../../shared/durable/resources.ts";
import type { Resources } from "../../shared/resources/index.ts";
import type { Placement } from "../../shared/runbook/placement.ts";

type Machines = Pick<Resources, "gatewayVm">;

/** Of a region's gateways. One GET for each that stands. */
export async function replacedGateways(resources: Machines, target: Target, index: number, placed: Placement): Promise<Check[]> {
  const region = target.names.regions[index];
  if (!region) return [];
  const { subscriptionId } = desired.home(target);
  const set = `/subscriptions/${subscriptionId}/resourceGroups/${region.resourceGroup}/providers/Microsoft.Compute/availabilitySets/${region.availabilitySet}`;
  const wanted = region.machines.flatMap((machine, number) => {
    const [candidate] = placed.machines[number] ?? [];
    if (candidate === undefined || placed.missing.includes(number)) return [];
    const choice = { ...candidate, ...(placed.availabilitySet ? { availabilitySetId: set } : {}) };
    return [desired.gatewayVm(target, { region, machine }, choice, "", unread)];
  });
  return (await Promise.all(wanted.map((one) => replaced(resources, one)))).flat();
}

/** Of a machine beside them. */
export async function replacedBeside(
  resources: Machines,
  target: Target,
  role: MachineRole,
  placed: Placement,
): Promise<Check[]> {
  const [candidate] = placed.machines[0] ?? [];
  if (candidate === undefined || placed.missing.length > 0) return [];
  const { image } = machineBeside(target.spec, role);
  return replaced(resources, desired.gatewayVm(target, desired.roleOf(target, role), { ...candidate, image }, "", unread));
}

/** What isn't compared here: it follows from names, and stands before machines do. */
const unread = { identityId: "", adminPassword: { vaultUrl: "", name: "", version: "" } };
const comparedElsewhere = new Set(["networkInterfaceId", "identityIds"]);

async function replaced({ gatewayVm }: Machines, wanted: DesiredOf<Resources["gatewayVm"]>): Promise<Check[]> {
  const found = await gatewayVm.observe(wanted);
  if (found.state !== "present") return [];
  const changes = gatewayVm
    .diff(wanted, found.actual)
    .filter(({ path }) => gatewayVm.fixed?.(path) === true && !comparedElsewhere.has(path));
  if (changes.length === 0) return [];
  const now = changes.map(({ path, from }) => `${path} ${typeof from === "string" ? from || "none" : JSON.stringify(from)}`);
  return [
    {
      code: "ReplacementNeeded",
      status: "fail",
      message: `virtual machine ${wanted.name} can only get another ${changes.map(({ path }) => path).join(", ")} by being replaced, and until its successor stands no mail passes it`,
      remedy: `put the spec back as the machine stands (${now.join(", ")}): machines are not replaced yet`,
      target: "spec.gateway",
    },
  ];
}
