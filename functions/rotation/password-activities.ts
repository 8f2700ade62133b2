/** What the rotation of a password does beside the machines: each may run again, and a late one changes nothing. */
import type { Work } from "../../shared/durable/resources.ts";
import { machinesBeside } from "../../shared/desired/beside.ts";
import { recordingSteps } from "../../shared/resources/activities.ts";
import { tenantSecrets } from "../../shared/runbook/secrets.ts";
import type { CredentialKey, CredentialVersion } from "../../shared/stores/credentials.ts";
import type { TenantSpec } from "../../shared/tenants/spec.ts";
import { passwordLifetimes } from "../../shared/desired/passwords.ts";
import { type PasswordName, secretNames } from "../../shared/vault/credential-names.ts";
import { changeGround, ensureGenerated } from "./generated.ts";
import type { RotationWorld } from "./world.ts";

export type PasswordActivities = ReturnType<typeof createPasswordActivities>;

interface Step {
  work: Work;
  key: CredentialKey;
}

export const createPasswordActivities = ({ stores, vaults, clock }: Pick<RotationWorld, "stores" | "vaults" | "clock">) => {
  const { credentials, tenants } = stores;
  const recorded = recordingSteps(stores);

  return {
    /** Before any account has it: whoever is stopped in between finds it again. */
    createPassword: ({
      work,
      key,
      generation,
      spec,
    }: Step & { generation: number; spec: TenantSpec }): Promise<CredentialVersion> =>
      recorded(work, "createPassword", async (begin) => {
        const { vaultUrl } = await held(key);
        const name = secretNames[key.name];
        const { generate } = tenantSecrets.adminPassword;
        const lifetime = passwordLifetimes(spec)[key.name as PasswordName];
        const expiresOn = lifetime === undefined ? undefined : new Date(clock.now() + lifetime * 1000);
        const wanted = { vaultUrl, name, entraTenantId: spec.azure.tenantId, generation, generate, expiresOn };
        return ensureGenerated(vaults, wanted, () => begin({ action: "create", target: { kind: "password", name } }));
      }),

    /** Machines that are made from now on are made with the new one. */
    flipPassword: ({ work, key, generation, made }: Step & { generation: number; made: CredentialVersion }): Promise<void> =>
      recorded(work, "flip", async (begin) => {
        const { rotation, generation: reached, current } = await held(key);
        if (rotation?.operationId !== work.operationId || reached >= generation)
          return { result: undefined, change: "unchanged" };
        const { reference } = made;
        const changes = [{ path: "current", from: current?.reference, to: reference }];
        await begin({ action: "update", target: { kind: "credential", name: key.name }, changes });
        // Only from the one that this rotation has found: a worker that wakes up late takes nothing back.
        if (key.name === "administratorPassword")
          await changeGround(tenants, work, ({ adminPassword }) =>
            adminPassword.version === current?.reference.version ? { adminPassword: reference } : undefined,
          );
        await credentials.change(key, (known) =>
          known.rotation?.operationId !== work.operationId || known.generation >= generation
            ? undefined
            : { generation, current: made, previous: known.current ?? null, rotatedAt: new Date(clock.now()).toISOString() },
        );
        return { result: undefined, change: "updated" };
      }),

    /**
     * No gateway takes it any more, as was seen; nobody reads it any more either. Machines beside the gateways still have it: they may not
     * read the gateways' secrets, so nothing changes it there.
     */
    retirePassword: ({ work, key, spec }: Step & { spec: TenantSpec }): Promise<void> =>
      recorded(work, "revoke", async (begin) => {
        const { previous, rotation, current } = await held(key);
        if (!previous || rotation?.operationId !== work.operationId || previous.keyId === current?.keyId)
          return { result: undefined, change: "unchanged" };
        if (key.name === "administratorPassword" && machinesBeside(spec).length > 0)
          return { result: undefined, change: "unchanged" };
        await begin({ action: "remove", target: { kind: "password", name: key.name } });
        await vaults.disable(previous.reference, spec.azure.tenantId);
        return { result: undefined, change: "updated" };
      }),
  };

  async function held(key: CredentialKey) {
    return credentials.change(key, () => undefined);
  }
};
