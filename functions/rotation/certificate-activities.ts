/** What the rotation of the gateways' certificate does beside vault and machines: each may run again, and a late one changes nothing. */
import type { GatewayCertificate, OtherCertificate } from "../../shared/desired/certificate.ts";
import type { Ground } from "../../shared/desired/state.ts";
import type { Work } from "../../shared/durable/resources.ts";
import { createCertificateProof } from "../../shared/proof/certificate-shown.ts";
import { recordingSteps } from "../../shared/resources/activities.ts";
import type { CredentialKey, CredentialVersion } from "../../shared/stores/credentials.ts";
import type { TenantRecord } from "../../shared/stores/tenants.ts";
import type { TenantSpec } from "../../shared/tenants/spec.ts";
import type { RotationWorld } from "./world.ts";

export type CertificateRotationActivities = ReturnType<typeof createCertificateRotationActivities>;

interface Flip {
  work: Work;
  key: CredentialKey;
  generation: number;
  made: CredentialVersion;
  next: GatewayCertificate;
  /** The one that is in use until now. */
  shown: GatewayCertificate;
  /** How long machines keep it; left out where they don't. */
  keptForSeconds?: number;
  /** Thumbprint of what nobody is to come back to. */
  refused?: string;
  /** What is kept of its former name, where it gets another one. */
  renamed?: OtherCertificate;
}

export const createCertificateRotationActivities = (world: Pick<RotationWorld, "stores" | "startTls" | "clock">) => {
  const { credentials, tenants } = world.stores;
  const recorded = recordingSteps(world.stores);
  return {
    ...createCertificateProof(world),

    /** Whoever writes machines from now on writes the new one. */
    flipCertificate: ({ work, key, generation, made, next, shown, keptForSeconds, refused, renamed }: Flip): Promise<void> =>
      recorded(work, "flip", async (begin) => {
        const { rotation, generation: reached, current } = await credentials.change(key, () => undefined);
        if (rotation?.operationId !== work.operationId || reached >= generation)
          return { result: undefined, change: "unchanged" };
        await begin({
          action: "update",
          target: { kind: "credential", name: key.name },
          changes: [
            { path: "thumbprint", from: shown.thumbprint, to: next.thumbprint },
            ...(renamed ? [{ path: "name", from: shown.name, to: next.name }] : []),
          ],
        });
        await tenants.change(key.partnerId, key.tenantId, (tenant) => {
          const ground = tenant.facts["ground"] as Ground;
          if (ground.certificate?.thumbprint !== shown.thumbprint) return undefined;
          const facts = {
            ...tenant.facts,
            ...refusing(tenant, refused),
            ground: { ...ground, certificate: next },
            ...(renamed && { otherCertificate: renamed }),
            ...(keptForSeconds !== undefined && { keptCertificate: shown }),
          };
          return { facts, ...(renamed && { spec: named(tenant.spec, next.name) }) };
        });
        const now = world.clock.now();
        await credentials.change(key, (known) =>
          known.rotation?.operationId !== work.operationId || known.generation >= generation
            ? undefined
            : {
                generation,
                current: made,
                previous: keptForSeconds === undefined ? null : (current ?? null),
                rotatedAt: new Date(now).toISOString(),
                keptUntil: new Date(now + (keptForSeconds ?? 0) * 1000).toISOString(),
              },
        );
        return { result: undefined, change: "updated" };
      }),

    /** Before Exchange Online is told: whoever writes connectors meanwhile writes both. */
    acceptCertificate: async ({
      work: { partnerId, tenantId },
      other,
    }: {
      work: Work;
      other: OtherCertificate;
    }): Promise<void> => {
      await tenants.change(partnerId, tenantId, ({ facts }) => ({ facts: { ...facts, otherCertificate: other } }));
    },

    /** Once Exchange Online knows the gateways by one certificate only. */
    forgetOtherCertificate: async ({ work: { partnerId, tenantId } }: { work: Work }): Promise<void> => {
      await tenants.change(partnerId, tenantId, ({ facts: { otherCertificate: _other, ...facts } }) => ({ facts }));
    },

    /** Seen from outside it does harm: nobody gives it to a machine again. */
    refuseCertificate: async ({
      work: { partnerId, tenantId },
      thumbprint,
    }: {
      work: Work;
      thumbprint: string;
    }): Promise<void> => {
      await tenants.change(partnerId, tenantId, (tenant) => ({ facts: { ...tenant.facts, ...refusing(tenant, thumbprint) } }));
    },
  };
};

const named = (spec: TenantSpec, name: string): TenantSpec => {
  const { certificate } = spec.gateway;
  return certificate ? { ...spec, gateway: { ...spec.gateway, certificate: { ...certificate, name } } } : spec;
};

/** As many as a vault may hold of them in years. */
const MOST_REFUSED = 20;

function refusing({ facts }: TenantRecord, thumbprint: string | undefined): Record<string, unknown> {
  if (thumbprint === undefined) return {};
  const known = (facts["refusedCertificates"] ?? []) as string[];
  return { refusedCertificates: [...known.filter((one) => one !== thumbprint), thumbprint].slice(-MOST_REFUSED) };
}
