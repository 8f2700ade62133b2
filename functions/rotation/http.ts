/** The partner's view of its tenants' credentials: what they are, until when they are good; never what they are made of. */
import type { Handler } from "../../shared/api/endpoint.ts";
import type { ApiWorld } from "../../shared/api/world.ts";

/** GET /api/tenants/{tenantId}/credentials */
export const listCredentials =
  ({ stores }: ApiWorld): Handler<"listCredentials"> =>
  async ({ caller: { partnerId }, params: { tenantId } }) => {
    await stores.tenants.get(partnerId, tenantId);
    const found = await stores.credentials.list(partnerId, tenantId);
    return {
      body: {
        value: found.map(({ name, generation, current, previous, rotation, updatedAt }) => ({
          name,
          generation,
          ...(current ? { expiresAt: current.expiresAt } : {}),
          overlapping: previous !== undefined,
          ...(rotation ? { operationId: rotation.operationId } : {}),
          lastUpdatedAt: updatedAt,
        })),
      },
    };
  };
