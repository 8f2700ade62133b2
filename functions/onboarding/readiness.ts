/** What keeps everybody's mail from a tenant's gateways: one that is not well, or an address that is listed. */
import { gatewayIdOf } from "../../shared/api/gateway-id.ts";
import type { Names } from "../../shared/azure/names.ts";
import type { Stores } from "../../shared/stores/stores.ts";

export async function notReady(
  { gateways, listings }: Pick<Stores, "gateways" | "listings">,
  { partnerId, tenantId }: { partnerId: string; tenantId: string },
  names: Names,
): Promise<string[]> {
  const wrong: string[] = [];
  const addresses = new Set<string>();
  for (const { virtualMachine } of names.regions.flatMap(({ machines }) => machines)) {
    const id = gatewayIdOf(tenantId, virtualMachine);
    const gateway = await gateways.find(partnerId, id);
    if (gateway) addresses.add(gateway.address);
    if (gateway?.state.health !== "healthy") wrong.push(`gateway ${id} is ${gateway?.state.health ?? "not watched yet"}`);
  }
  for (const { tenantId: of, address, sightings } of await listings.of(partnerId))
    if (of === tenantId && addresses.has(address))
      for (const [list, { state }] of Object.entries(sightings)) wrong.push(`${address} is ${state} on ${list}`);
  return wrong;
}
