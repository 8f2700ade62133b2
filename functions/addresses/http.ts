/** The door: another public address for a gateway. */
import type { DurableClient } from "durable-functions";
import { accepted, endpoint } from "../../shared/api/endpoint.ts";
import { partnerInScope } from "../../shared/api/scope.ts";
import { startOperation } from "../../shared/durable/tenant-operation.ts";
import { askedOf, replacing, requestOf } from "./replacements.ts";
import type { AddressDoors } from "./world.ts";

/** POST /api/gateways/{gatewayId}/replace-address: with the same Operation-Id asking twice gives the same operation. */
export const startAddressReplacement = (world: AddressDoors, client: DurableClient) =>
  endpoint("startAddressReplacement", world, async ({ caller, params: { gatewayId }, query, headers, body }) => {
    const { tenantId, partnerId } = await world.stores.gateways.get(partnerInScope(caller, query.partnerId), gatewayId);
    const request = requestOf(gatewayId, body ?? {});
    const asked = { partnerId, tenantId, operationId: headers["operation-id"], body: request };
    return accepted(world, await startOperation(world.stores, client, replacing(world, askedOf(request), body?.plan), asked));
  });
