/** Microsoft.ManagedIdentity/userAssignedIdentities: synchronous, with a service principal in the subscription's tenant. */
import { randomUUID } from "node:crypto";
import * as z from "zod";
import { ArmError, parseBody, tagsSchema } from "./envelope.ts";
import { sameId, type Estate } from "./estate.ts";
import type { ResourceType } from "./resource-type.ts";

const identitySchema = z.looseObject({ location: z.string(), tags: tagsSchema.optional() });

const type = "Microsoft.ManagedIdentity/userAssignedIdentities";

export const userAssignedIdentities = (estate: Estate): ResourceType => ({
  type,
  manner: "sync",
  put: ({ id, name, subscriptionId, body, existing }) => {
    const { location, tags } = parseBody(identitySchema, body);
    if (!/^[A-Za-z0-9][A-Za-z0-9_-]{2,127}$/.test(name))
      throw new ArmError(
        400,
        "BadRequest",
        `The identity name '${name}' is invalid: 3 to 128 letters, digits, '-' and '_', beginning with a letter or digit.`,
      );
    return {
      location,
      body: {
        location,
        tags: tags ?? {},
        id,
        name,
        type,
        properties: existing?.body.properties ?? {
          tenantId: estate.subscription(subscriptionId)?.tenantId,
          principalId: randomUUID(),
          clientId: randomUUID(),
        },
      },
    };
  },
  // Its role assignments stay behind with an unknown principal, as in Azure.
  checkDelete: ({ id, name }) => {
    const user = estate
      .ofType("Microsoft.Compute/virtualMachines")
      .find(({ body }) =>
        Object.keys((body["identity"] as { userAssignedIdentities?: object } | undefined)?.userAssignedIdentities ?? {}).some(
          (used) => sameId(used, id),
        ),
      );
    if (user !== undefined && estate.operations.runningOn(user.id) !== undefined)
      throw new ArmError(409, "Conflict", `The identity '${name}' is being assigned to ${user.id}.`);
  },
});
