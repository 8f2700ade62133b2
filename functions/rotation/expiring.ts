/**
 * The alarm: a credential that should have been replaced long ago has little time left. That is a condition of its tenant for as long as
 * it lasts, and one event for each credential that came so far.
 */
import type { CredentialRecord } from "../../shared/stores/credentials.ts";
import { alarmAt, type Life } from "./renewal.ts";
import type { RotationWorld } from "./world.ts";

/** A credential and its life, as its vault says too. */
export interface Looked {
  credential: CredentialRecord;
  life: Life | undefined;
}

const TYPE = "CredentialsLasting";

/** Of one tenant's; gives how many have too little time left. */
export async function followExpiring(
  { stores, clock }: Pick<RotationWorld, "stores" | "clock">,
  { partnerId, tenantId }: { partnerId: string; tenantId: string },
  looked: Looked[],
): Promise<number> {
  const late = looked.flatMap(({ credential: { name, current }, life }) =>
    life && current && alarmAt(life) <= clock.now() ? [{ name, current, life }] : [],
  );
  for (const { name, current, life } of late)
    await stores.events.add({
      partnerId,
      tenantId,
      id: ["credential", "expiring", tenantId, name, current.reference.version].join("-"),
      type: "tenant.credential.expiring",
      subject: tenantId,
      at: new Date(alarmAt(life)).toISOString(),
      data: { credential: name, version: current.reference.version, expiresAt: new Date(life.expiresAt).toISOString() },
    });
  const { conditions } = await stores.tenants.get(partnerId, tenantId);
  if (late.length > 0 || conditions.some(({ type }) => type === TYPE))
    await stores.tenants.setConditions(partnerId, tenantId, [conditionOf(late)]);
  return late.length;
}

const conditionOf = (late: { name: string; life: Life }[]) =>
  late.length === 0
    ? { type: TYPE, status: "True" as const, reason: "Renewed", message: "every credential has enough time left" }
    : {
        type: TYPE,
        status: "False" as const,
        reason: "NearExpiry",
        message: `these should have been replaced by now: ${late
          .map(({ name, life }) => `${name}, good until ${new Date(life.expiresAt).toISOString()}`)
          .join("; ")}`,
      };
