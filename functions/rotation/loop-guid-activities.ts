/** What the rotation of a loop GUID does beside rules and machines: each may run again, and a late one changes nothing. */
import { randomUUID } from "node:crypto";
import type { Work } from "../../shared/durable/resources.ts";
import { recordingSteps } from "../../shared/resources/activities.ts";
import { tenantSecrets } from "../../shared/runbook/secrets.ts";
import type { CredentialKey, CredentialVersion } from "../../shared/stores/credentials.ts";
import type { TenantSpec } from "../../shared/tenants/spec.ts";
import type { SecretReference } from "../../shared/vault/reference.ts";
import { changeGround, ensureGenerated } from "./generated.ts";
import type { RotationWorld } from "./world.ts";

export type LoopGuidActivities = ReturnType<typeof createLoopGuidActivities>;

interface Step {
  work: Work;
  key: CredentialKey;
}

export const createLoopGuidActivities = ({ stores, vaults, clock }: Pick<RotationWorld, "stores" | "vaults" | "clock">) => {
  const { credentials, tenants } = stores;
  const recorded = recordingSteps(stores);
  const { name } = tenantSecrets.loopGuid;

  return {
    /** The first version of this generation, whoever stored it. */
    createLoopGuid: ({
      work,
      key,
      generation,
      spec,
    }: Step & { generation: number; spec: TenantSpec }): Promise<CredentialVersion> =>
      recorded(work, "createLoopGuid", async (begin) => {
        const { vaultUrl } = await held(key);
        const wanted = { vaultUrl, name, entraTenantId: spec.azure.tenantId, generation, generate: randomUUID };
        return ensureGenerated(vaults, wanted, () => begin({ action: "create", target: { kind: "loopGuid", name } }));
      }),

    /** Before any rule says so: whoever writes rules meanwhile writes both. Until `until` a rule may still come that was decided on before. */
    acceptLoopGuid: async ({ work, old, also, until }: Accepting): Promise<void> => {
      await changeGround(tenants, work, ({ loopGuid }) =>
        loopGuid.version === old.version ? { otherLoopGuid: also } : undefined,
      );
      const message =
        until === undefined ? "" : `nobody writes rules as they were before after ${new Date(until * 1000).toISOString()}`;
      const waitingFor = until === undefined ? null : { kind: "propagation" as const, message };
      await stores.operations.recordProgress(work.partnerId, work.operationId, { waitingFor });
    },

    flipLoopGuid: ({ work, key, generation, made, old, overlapInSeconds }: Flip): Promise<void> =>
      recorded(work, "flip", async (begin) => {
        const { rotation, generation: reached } = await held(key);
        if (rotation?.operationId !== work.operationId || reached >= generation)
          return { result: undefined, change: "unchanged" };
        const { reference } = made;
        await begin({
          action: "update",
          target: { kind: "credential", name: key.name },
          changes: [{ path: "current", from: old, to: reference }],
        });
        await changeGround(tenants, work, ({ loopGuid }) =>
          loopGuid.version === old.version ? { loopGuid: reference, otherLoopGuid: old } : undefined,
        );
        const now = clock.now();
        await credentials.change(key, (known) =>
          known.rotation?.operationId !== work.operationId || known.generation >= generation
            ? undefined
            : {
                generation,
                current: made,
                previous: { reference: old, keyId: old.version },
                rotatedAt: new Date(now).toISOString(),
                keptUntil: new Date(now + overlapInSeconds * 1000).toISOString(),
              },
        );
        return { result: undefined, change: "updated" };
      }),

    /** Whoever writes rules from now on writes the new one only; the one that goes is none but this rotation's. */
    dropLoopGuid: async ({ work, current }: { work: Work; current: SecretReference }): Promise<void> => {
      const { partnerId, tenantId, operationId } = work;
      const { previous, rotation } = await held({ partnerId, tenantId, name: "loopGuid" });
      if (rotation?.operationId !== operationId) return;
      await changeGround(tenants, work, ({ loopGuid, otherLoopGuid }) =>
        loopGuid.version === current.version && otherLoopGuid?.version === previous?.reference.version
          ? { otherLoopGuid: undefined }
          : undefined,
      );
    },

    /** No rule accepts it any more, as was read back; nobody reads it any more either. */
    retireLoopGuid: ({ work, key, spec }: Step & { spec: TenantSpec }): Promise<void> =>
      recorded(work, "revoke", async (begin) => {
        const { previous, rotation, current } = await held(key);
        if (!previous || rotation?.operationId !== work.operationId || previous.keyId === current?.keyId)
          return { result: undefined, change: "unchanged" };
        await begin({ action: "remove", target: { kind: "loopGuid", name } });
        await vaults.disable(previous.reference, spec.azure.tenantId);
        return { result: undefined, change: "updated" };
      }),
  };

  async function held(key: CredentialKey) {
    return credentials.change(key, () => undefined);
  }
};

interface Accepting {
  work: Work;
  old: SecretReference;
  also: SecretReference;
  /** Seconds since 1970. */
  until?: number;
}

interface Flip extends Step {
  generation: number;
  made: CredentialVersion;
  old: SecretReference;
  overlapInSeconds: number;
}
