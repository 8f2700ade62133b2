/**
 * Where in a region its machines go, and of which size (mission A3). What is there keeps its place, since Azure never moves a machine
 * between zones or sets; what is new goes by rule, with more than one choice, so that a zone without capacity stops nobody.
 */
import type { Azure } from "../../shared/azure/client.ts";
import { readFailure } from "../../shared/azure/owned.ts";
import { byPrice, fits, GATEWAY_MINIMUM, type Size, sizesIn } from "../../shared/azure/sizes.ts";
import type { Candidate } from "../../shared/desired/state.ts";
import { home } from "../../shared/desired/state.ts";
import type { Target } from "../../shared/desired/target.ts";
import { ControlPlaneError } from "../../shared/errors.ts";
import type { TenantSpec } from "../../shared/tenants/spec.ts";

export interface Placement {
  /** Whether the region's machines stand in an availability set. */
  availabilitySet: boolean;
  /** For each machine, in the order of preference; never empty. */
  machines: Candidate[][];
  /** Indices of those that aren't there yet. */
  missing: number[];
}

interface Existing {
  size: string;
  zone: string | undefined;
  inSet: boolean;
  /** Its creation failed: nothing is lost if another takes its place. */
  failed: boolean;
}

/** A zone without capacity for one size often has it for the next; more than this is a region in trouble. */
const MOST_SIZES = 3;

/** Throws SizeNotAvailable when the region has no size that fits for this subscription, ZonesNotAvailable when the spec wants zones. */
export async function placementOf(azure: Azure, target: Target, index: number): Promise<Placement> {
  const region = target.names.regions[index];
  if (!region) throw new Error(`the tenant has no region ${index + 1}`);
  const subscription = home(target);
  const machines: (Existing | undefined)[] = [];
  for (const { virtualMachine } of region.machines)
    machines.push(await existing(azure, { ...subscription, resourceGroup: region.resourceGroup, name: virtualMachine }));
  const found = await sizesIn(azure, subscription, region.region);
  if (found.state !== "present") throw readFailure(`the sizes of ${region.region}`, found.state === "unknown" ? found : noSizes);
  const sizes = chosenSizes(found.actual, target.spec.gateway, region.region);
  return decided(machines, sizes, target.spec.gateway, region.region);
}

const noSizes = { state: "unknown", reason: { code: "SizesMissing", message: "the region lists none" } } as const;

/** Pure: the rule. */
export function decided(
  machines: (Existing | undefined)[],
  sizes: Size[],
  { size: wanted, placement }: Pick<TenantSpec["gateway"], "size" | "placement">,
  region: string,
): Placement {
  const standing = machines.filter((machine) => machine !== undefined && !machine.failed) as Existing[];
  const zoned = sizes.filter(({ zones }) => zones.length > 0);
  if (placement === "zones" && zoned.length === 0)
    throw new ControlPlaneError("ZonesNotAvailable", `${region} has no availability zones for a size that fits`, 409, false, {
      target: "spec.gateway.placement",
    });
  const inSet =
    placement === "availabilitySet" ||
    (placement === "automatic" && (standing.length > 0 ? standing.some((one) => one.inSet) : zoned.length === 0));
  const inZones =
    placement === "zones" ||
    (placement === "automatic" && !inSet && (standing.length === 0 || standing.some(({ zone }) => zone !== undefined)));
  return {
    availabilitySet: inSet,
    missing: machines.flatMap((machine, index) => (machine === undefined ? [index] : [])),
    machines: machines.map((machine, index) => {
      const byRule = inZones
        ? zoned.flatMap(({ name, zones }) => turned(zones, index).map((zone) => ({ size: name, zone })))
        : sizes.map(({ name }) => ({ size: name }));
      if (machine === undefined) return byRule;
      const own = { size: wanted ?? machine.size, ...(machine.zone === undefined ? {} : { zone: machine.zone }) };
      if (machine.failed) return [own, ...byRule.filter(({ size, ...place }) => size !== own.size || zoneOf(place) !== own.zone)];
      // Asked for otherwise than it stands, it is shown as what it is: a replacement.
      const stands = placement === "automatic" || (inSet === machine.inSet && inZones === (machine.zone !== undefined));
      return [stands ? own : { ...(byRule[0] ?? own), size: own.size }];
    }),
  };
}

const zoneOf = (place: { zone?: string }): string | undefined => place.zone;

/** The machines of a region begin with different zones. */
const turned = (zones: string[], by: number): string[] => zones.map((_, index) => zones[(index + by) % zones.length] ?? "");

function chosenSizes(
  sizes: Size[],
  { size: wanted, disk }: Pick<TenantSpec["gateway"], "size" | "disk">,
  region: string,
): Size[] {
  const demand = { minimum: GATEWAY_MINIMUM, premiumDisks: disk.startsWith("Premium") };
  const fitting = sizes.filter((size) => fits(size, demand));
  if (wanted === undefined) {
    const chosen = byPrice(fitting).slice(0, MOST_SIZES);
    if (chosen.length > 0) return chosen;
    throw sizeMissing(`${region} has no size with 4 processors and 7 GB for this subscription`);
  }
  const named = sizes.find(({ name }) => name.toLowerCase() === wanted.toLowerCase());
  if (!named) throw sizeMissing(`${region} has no size ${wanted}`);
  if (!named.available) throw sizeMissing(`${wanted} is not available for this subscription in ${region}`);
  if (!fitting.includes(named))
    throw sizeMissing(`${wanted} is too small for a gateway, or not made for Trusted Launch and ${disk}`);
  return [named];
}

const sizeMissing = (message: string): ControlPlaneError =>
  new ControlPlaneError("SizeNotAvailable", message, 409, false, { target: "spec.gateway.size" });

async function existing(azure: Azure, machine: Parameters<Azure["read"]>[0] & { resourceGroup: string; name: string }) {
  const found = await azure.read(machine, async (clients) =>
    (await clients.compute()).virtualMachines.get(machine.resourceGroup, machine.name),
  );
  if (found.state === "unknown") throw readFailure(`virtual machine ${machine.name}`, found);
  if (found.state === "absent") return undefined;
  const { hardwareProfile, zones, availabilitySet, provisioningState } = found.actual;
  return {
    size: hardwareProfile?.vmSize ?? "",
    zone: zones?.[0],
    inSet: availabilitySet?.id !== undefined,
    failed: /^failed$/i.test(provisioningState ?? ""),
  };
}
