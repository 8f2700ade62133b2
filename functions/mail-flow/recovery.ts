/** What keeps a tenant's mail from being led back to its gateways, in words; nothing where all is well. */
import { gatewayIdOf } from "../../shared/api/gateway-id.ts";
import type { ApiWorld } from "../../shared/api/world.ts";
import type { Target } from "../../shared/desired/target.ts";
import { unreadiness } from "../../shared/proof/gateways.ts";

/** Machines report every ten minutes: one that has missed two of them is silent. */
const HEARTBEAT_FRESH_IN_SECONDS = 25 * 60;

export async function unrecovered(
  { stores, clock }: Pick<ApiWorld, "stores" | "clock">,
  work: Target["work"],
  names: Target["names"],
): Promise<string[]> {
  const { partnerId, tenantId } = work;
  const wrong = await unreadiness(stores, work, names);
  for (const { virtualMachine } of names.regions.flatMap(({ machines }) => machines)) {
    const id = gatewayIdOf(tenantId, virtualMachine);
    const last = (await stores.heartbeats.find(partnerId, id))?.last;
    // One that has never reported is proven by its mail alone.
    if (last && clock.now() - Date.parse(last.receivedAt) > HEARTBEAT_FRESH_IN_SECONDS * 1000)
      wrong.push(`gateway ${id} has not reported since ${last.receivedAt}`);
  }
  return wrong;
}
