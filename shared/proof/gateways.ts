/** Whether mail may be led to a tenant's gateways: how they are, whether a blocklist has an address of theirs, whether Exchange Online reaches them. */
import { gatewayIdOf } from "../api/gateway-id.ts";
import type { Names } from "../azure/names.ts";
import type { Loop } from "../desired/state.ts";
import { ControlPlaneError } from "../errors.ts";
import type { ConnectorValidation } from "../exchange/probe.ts";
import type { Stores } from "../stores/stores.ts";

/** What keeps mail from them, in words; nothing where all is well. From stores only: whoever watches gateways keeps them up to date. */
export async function unreadiness(
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
      for (const [list, { state }] of Object.entries(sightings))
        if (state !== "unmapped") wrong.push(`${address} is ${state} on ${list}`);
  return wrong;
}

export type ValidateConnector = (organization: string, identity: string, recipient: string) => Promise<ConnectorValidation>;

/** Exchange Online itself delivers to each of the connector's smart hosts, with STARTTLS. Throws when it can't. */
export async function proveReachable(validate: ValidateConnector, loop: Loop): Promise<void> {
  const { succeeded, detail } = await validate(loop.organization, loop.outboundConnector, loop.probeMailbox);
  if (!succeeded)
    throw new ControlPlaneError(
      "GatewayUnreachable",
      `Exchange Online could not deliver to ${loop.smartHosts.join(", ")} with STARTTLS: ${detail}`,
      502,
      true,
    );
}
