/** The partner's view of its tenants' credentials: what they are, until when they are good; never what they are made of. */
import type * as z from "zod";
import type { credentialSchema, credentialStates } from "../../shared/api/credential.ts";
import type { Handler } from "../../shared/api/endpoint.ts";
import { type CredentialRecord, rotating } from "../../shared/stores/credentials.ts";
import { credentialsOf } from "./own-credentials.ts";
import { lifeOf, renewalAt } from "./renewal.ts";
import type { RotationWorld } from "./world.ts";

type World = Pick<RotationWorld, "stores" | "clock">;

/** GET /api/tenants/{tenantId}/credentials */
export const listCredentials =
  (world: World): Handler<"listCredentials"> =>
  async ({ caller: { partnerId }, params: { tenantId } }) => {
    const tenant = await world.stores.tenants.get(partnerId, tenantId);
    const found = await credentialsOf(world.stores, tenant);
    return { body: { value: found.map((credential) => shown(world, credential)) } };
  };

function shown({ clock }: World, credential: CredentialRecord): z.input<typeof credentialSchema> {
  const { name, generation, current, previous, rotation, rotatedAt, updatedAt } = credential;
  const life = lifeOf(credential);
  const nextAt = life && renewalAt(credential, life);
  return {
    name,
    state: stateOf(credential, nextAt !== undefined && nextAt <= clock.now()),
    generation,
    ...(current ? { version: current.reference.version } : {}),
    ...(current?.expiresAt === undefined ? {} : { expiresAt: current.expiresAt }),
    ...(rotatedAt === undefined ? {} : { lastRotatedAt: rotatedAt }),
    ...(nextAt === undefined ? {} : { nextRotationAt: new Date(nextAt).toISOString() }),
    overlapping: previous !== undefined,
    ...(rotation ? { operationId: rotation.operationId } : {}),
    lastUpdatedAt: updatedAt,
  };
}

function stateOf(credential: CredentialRecord, due: boolean): (typeof credentialStates)[number] {
  if (rotating(credential)) return "rotating";
  if (credential.previous) return "overlapping";
  if (!credential.current) return "missing";
  return due ? "due" : "current";
}
