/** The doors of one tenant: its mail round the gateway, and back. */
import type { DurableClient } from "durable-functions";
import { accepted, endpoint } from "../../shared/api/endpoint.ts";
import { startOperation } from "../../shared/durable/tenant-operation.ts";
import { ASKED_FOR, bypassing, restoring } from "./redirections.ts";
import type { MailFlowDoors } from "./world.ts";

/** POST …/bypass: with the same Operation-Id asking twice gives the same operation. */
export const startBypass = (world: MailFlowDoors, client: DurableClient) =>
  endpoint("startBypass", world, async ({ caller: { partnerId }, params: { tenantId }, headers, body }) => {
    const wanted = bypassing(world, { by: "call", reason: body.reason }, body.plan);
    const asked = { partnerId, tenantId, operationId: headers["operation-id"], body };
    return accepted(world, await startOperation(world.stores, client, wanted, asked));
  });

/** POST …/restore */
export const startRestore = (world: MailFlowDoors, client: DurableClient) =>
  endpoint("startRestore", world, async ({ caller: { partnerId }, params: { tenantId }, headers, body }) => {
    const wanted = restoring(world, ASKED_FOR, body?.plan);
    const asked = { partnerId, tenantId, operationId: headers["operation-id"], body };
    return accepted(world, await startOperation(world.stores, client, wanted, asked));
  });
